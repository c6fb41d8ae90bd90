import { columnsInView } from "../columns-in-view.js";
import { same } from "./testing.js";

const WIDE = [280, ...new Array(60).fill(120)];
/** @param {number[]} places */
const ends = (places) => [places[0], places[1], places.at(-1)];

export const tests = {
  "a few columns are all drawn"() {
    same(columnsInView([280, 100, 100], 0, 1280), [0, 1, 2]);
    same(columnsInView([280, 100, 100], 0, 390), [0, 1, 2]);
    same(columnsInView([], 0, 1280), []);
  },
  "of many those in view and some beside them"() {
    same(ends(columnsInView(WIDE, 0, 1280)), [0, 1, 11]);
    same(ends(columnsInView(WIDE, 3600, 1280)), [0, 29, 41]);
  },
  "the last ones come at the end"() {
    const width = WIDE.reduce((sum, one) => sum + one, 0);
    same(ends(columnsInView(WIDE, width - 1280, 1280)), [0, 50, 60]);
  },
};
