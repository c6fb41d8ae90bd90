import { ago, bytes, duration, moment, namespace, number, shortName } from "../format.js";
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
  "durations have the two largest units"() {
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
  "times are relative to now"() {
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
    const cases = [[0, "0 B"], [999, "999 B"], [1500, "1.5 kB"], [2e6, "2 MB"], [3.25e9, "3.25 GB"], [null, ""]];
    for (const [count, text] of cases) same(bytes(count), text);
  },
  "a field is shown without its namespace and quotes"() {
    same(shortName("metrics.`val/acc`.min"), "val/acc.min");
    same(shortName("config.lr"), "lr");
    same(shortName("status"), "status");
    same(["metrics.loss", "tags.a", "status", "metrics"].map(namespace), ["metrics", "tags", "run", "run"]);
  },
};
