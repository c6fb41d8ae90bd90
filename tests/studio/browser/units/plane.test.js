import { isNumeric, scaleOf, ticks } from "../plane.js";
import { same } from "./testing.js";

export const tests = {
  "ticks are round numbers"() {
    same(ticks(0, 10), [0, 2, 4, 6, 8, 10]);
    same(
      ticks(0.13, 0.42).map((one) => one.toFixed(2)),
      ["0.20", "0.30", "0.40"],
    );
    same(ticks(5, 5), [5]);
  },
  "a scale goes from one end to the other"() {
    const { at, isNumber } = scaleOf([0, 10, null], 0, 100);
    same([isNumber, at(5), at(0) > 0, at(10) < 100], [true, 50, true, true]);
    same(scaleOf([3, 3], 0, 100).at(3), 50);
  },
  "texts have places of their own"() {
    const { at, marks } = scaleOf(["b10", "b9", null, "b10"], 0, 100);
    same([marks, at("b9"), at("b10")], [["b9", "b10"], 25, 75]);
  },
  "numbers and nothing are numeric"() {
    same([isNumeric([1, null]), isNumeric([null]), isNumeric([1, "a"])], [true, false, false]);
  },
};
