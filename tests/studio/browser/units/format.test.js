import {
  ELAPSED,
  ago,
  atPoint,
  bytes,
  duration,
  elapsed,
  isSampled,
  moment,
  namespace,
  number,
  short,
  shortName,
} from "../format.js";
import { placesOf } from "../figure.js";
import { same } from "./testing.js";

export const tests = {
  "numbers have four digits, and thousands"() {
    const cases = [
      [0, "0"],
      [1234567, "1,234,567"],
      [0.123456, "0.1235"],
      [123456.789, "123500"],
      [1e-7, "1.000e-7"],
      [-2.5e9, "-2.500e+9"],
      [12345678, "1.235e+7"],
      ["text", "text"],
      [null, ""],
      [undefined, ""],
      [true, "true"],
    ];
    for (const [value, text] of cases) same(number(value), text);
  },
  "numbers are parted at their points"() {
    /** @type {[value: unknown, parts: string[]][]} */
    const cases = [
      [0.5, ["0", ".5"]],
      [1234, ["1,234", ""]],
      [-1e-7, ["-1", ".000e-7"]],
      [Number.NaN, ["NaN", ""]],
      ["1.5", ["", ""]],
      [null, ["", ""]],
    ];
    for (const [value, parts] of cases) same(atPoint(value), parts);
    same(placesOf([0.5, 12, null, "0.12345", 0.125]), 4);
    same(placesOf([]), 0);
  },
  "elapsed time has the unit of its marks"() {
    /** @type {[seconds: number, step: number, text: string][]} */
    const cases = [
      [0.25, 0.05, "0.25 s"],
      [30, 15, "30 s"],
      [5400, 1800, "90 min"],
      [7200, 3600, "2 h"],
      [432000, 86400, "5 d"],
    ];
    for (const [value, step, text] of cases) same(elapsed(value, step), text);
    same(
      [...ELAPSED].sort((a, b) => a - b),
      ELAPSED,
    );
    same(
      ELAPSED.filter((one) => one >= 86400).every((one) => one % 86400 === 0),
      true,
    );
  },
  "samples of the machine are known as metrics and as fields"() {
    for (const name of ["system/cpu", "metrics.system/cpu", "metrics.`system/a b`"]) same(isSampled(name), true);
    for (const name of ["loss", "metrics.loss", "my/system/x", "systems"]) same(isSampled(name), false);
  },
  "durations have the two largest units"() {
    /** @type {[seconds: number | null, text: string][]} */
    const cases = [
      [0, "0.0 s"],
      [9.94, "9.9 s"],
      [59.9, "59 s"],
      [61, "1 m 01 s"],
      [3600, "1 h 00 m"],
      [3840, "1 h 04 m"],
      [864000, "10 d 00 h"],
      [null, ""],
    ];
    for (const [seconds, text] of cases) same(duration(seconds), text);
  },
  "a text is cut between characters"() {
    /** @type {[text: string, length: number, cut: string][]} */
    const cases = [
      ["abcdef", 4, "abc…"],
      ["abcd", 4, "abcd"],
      ["🎉🎉🎉🎉", 4, "🎉🎉🎉🎉"],
      ["🎉🎉🎉🎉🎉", 4, "🎉🎉🎉…"],
    ];
    for (const [text, length, cut] of cases) same(short(text, length), cut);
  },
  "times are relative to now"() {
    /** @param {number} seconds */
    const before = (seconds) => new Date(Date.now() - 1000 * seconds).toISOString();
    same(ago(before(1)), "now");
    same(ago(before(30.5)), "30 s ago");
    same(ago(before(7205)), "2 h ago");
    same(ago(before(-60)), "now");
    same(ago(null), "");
  },
  "a moment is that of the browser's zone, to the second"() {
    same(moment("2026-11-30T05:06:07.891Z"), "2026-11-30 05:06:07");
    same(moment(null), "");
  },
  "sizes are in decimal units"() {
    /** @type {[count: number | null, text: string][]} */
    const cases = [
      [0, "0 B"],
      [999, "999 B"],
      [1500, "1.5 kB"],
      [2e6, "2 MB"],
      [3.25e9, "3.25 GB"],
      [null, ""],
    ];
    for (const [count, text] of cases) same(bytes(count), text);
  },
  "a field is shown without its namespace and quotes"() {
    same(shortName("metrics.`val/acc`.min"), "val/acc.min");
    same(shortName("config.lr"), "lr");
    same(shortName("status"), "status");
    same(["metrics.loss", "tags.a", "status", "metrics"].map(namespace), ["metrics", "tags", "run", "run"]);
  },
};
