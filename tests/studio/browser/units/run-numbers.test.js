import { parts, spans } from "../run-numbers.js";
import { same } from "./testing.js";

export const tests = {
  "numbers that follow each other are a range"() {
    /** @type {[numbers: number[], text: string][]} */
    const cases = [
      [[5], "number in (5)"],
      [[2, 1], "number in (1, 2)"],
      [[3, 1, 2], "number >= 1 and number <= 3"],
      [[9, 1, 2, 3, 7, 9, 20], "number >= 1 and number <= 3 or number in (7, 9, 20)"],
      [[1, 2, 3, 5, 6, 7], "number >= 1 and number <= 3 or number >= 5 and number <= 7"],
      [[], ""],
    ];
    for (const [numbers, text] of cases) same(spans(numbers), text);
  },
  "ids are asked for in parts that one question takes"() {
    const ids = Array.from({ length: 1000 }, (_, n) => `${n}-${"x".repeat(n % 50)}`);
    same(parts(ids).flat(), ids);
    for (const some of parts(ids)) same(JSON.stringify(some).length <= 6_000, true);
    same(parts([]), [[]]);
    same(parts(["x".repeat(300)]).length, 1);
  },
};
