import { alone, drawing, positiveX, spread, valueAt } from "../curves.js";
import { same } from "./testing.js";

/** @import { RunCurve } from "answers" */

/**
 * @param {string} run @param {number[]} places @param {RunCurve["last"]} last @param {Partial<RunCurve>} more
 * @returns {RunCurve}
 */
const series = (run, places, last, more = {}) => ({
  run,
  metric: "loss",
  places,
  last,
  min: last,
  max: last,
  mean: last,
  std: last.map(() => 0),
  odd: [],
  total: last.length,
  ...more,
});
const runs = new Map([
  ["a", { colour: 1 }],
  ["b", { colour: 9 }],
]);
const usual = { band: "minmax", isLog: false, opened: new Set() };

export const tests = {
  "a place without a point is not a gap"() {
    same(
      spread(4, [1, 3], [5, null]).map((value) => (value === undefined ? "none" : value)),
      ["none", 5, "none", null],
    );
  },
  "a logarithmic axis has no zero"() {
    same(spread(2, [0, 1], [0, 2], true), [null, 2]);
  },
  "points that no line reaches are alone"() {
    same(alone([1, undefined, 2, null, 3, null, undefined, 4]), [4, 7]);
    same(alone([undefined, 1]), [1]);
    same(alone([null]), []);
  },
  "a smoothed curve has the raw one below it"() {
    const { lines, bands } = drawing(
      { x: [0, 1], series: [series("a", [0, 1], [1, 2], { smooth: [1, 1.5] })] },
      runs,
      usual,
    );
    same(
      lines.map((line) => [line.key, line.alpha]),
      [
        ["raw a", 0.25],
        ["edge raw a", 0],
        ["edge raw a", 0],
        ["a", 1],
      ],
    );
    same(bands, [{ upper: 2, lower: 3, colour: 1 }]);
  },
  "groups stand for their runs until they are opened"() {
    const group = {
      group: "g",
      metric: "loss",
      run_ids: ["a"],
      n: [1],
      places: [0],
      mean: [1],
      deviation: [0.5],
      least: [0],
      greatest: [2],
      smooth: null,
    };
    const answer = { x: [0], series: [series("a", [0], [1]), series("b", [0], [2])], groups: [group] };
    const closed = drawing(answer, runs, { ...usual, band: "std" });
    same(
      closed.lines.map((line) => line.values[0]),
      [1, 1.5, 0.5],
    );
    const opened = drawing(answer, runs, { ...usual, opened: new Set(["g"]) });
    same(opened.lines.at(-1)?.key, "a");
  },
  "more than eight bands are not drawn"() {
    const many = Array.from({ length: 9 }, () => series("a", [0], [1]));
    same(drawing({ x: [0], series: many }, runs, usual).bands, []);
  },
  "what is not finite is a mark"() {
    /** @type {RunCurve["odd"]} */
    const odd = [[3, 1, 2, 0]];
    const { marks } = drawing({ x: [0, 1, 2, 3], series: [series("b", [3], [null], { odd })] }, runs, usual);
    same(marks, [{ place: 3, colour: 9, nan: 1, up: 2, down: 0 }]);
  },
  "between its first and last point a curve has the value before"() {
    same(
      [0, 2, 3, 5, 6].map((at) => valueAt([2, 5], [1, 7], at)),
      [null, 1, 1, 7, null],
    );
  },
  "a logarithmic x has no places before 0"() {
    const cut = positiveX({
      x: [-1, 0, 2, 3],
      series: [
        series("a", [0, 2, 3], [1, 2, 3], {
          odd: [
            [0, 1, 0, 0],
            [3, 1, 0, 0],
          ],
        }),
      ],
    });
    same(
      [cut.x, cut.series[0].places, cut.series[0].last, cut.series[0].odd],
      [[2, 3], [0, 1], [2, 3], [[1, 1, 0, 0]]],
    );
  },
};
