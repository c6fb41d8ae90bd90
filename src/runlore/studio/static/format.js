// Numbers, durations and times as people read them; the exact ones are in titles and copies.

const WHOLE = new Intl.NumberFormat("en-US");

/** @param {any} value */
export function number(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return WHOLE.format(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(3);
  return String(Number(value.toPrecision(4)));
}

/**
 * A number as people read it: the text before its point, and the one from there on. Two empty
 * texts for anything else.
 * @param {unknown} value @returns {[whole: string, rest: string]}
 */
export function atPoint(value) {
  if (typeof value !== "number") return ["", ""];
  const text = number(value);
  const at = text.search(/[.e]/);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at)];
}

/** A number beside an axis: short, as its neighbours say the rest. @param {number} value */
export function tick(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential().replace(/(\.\d{2})\d+/, "$1");
  return number(value);
}

/** @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${pad(Math.floor(seconds % 60))} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${pad(minutes % 60)} m`;
  return `${Math.floor(hours / 24)} d ${pad(hours % 24)} h`;
}

/** @param {number} value */
const pad = (value) => String(value).padStart(2, "0");

/** @type {[seconds: number, name: string][]} */
const UNITS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
];

/** The distances that marks of elapsed time may have: whole parts of seconds, minutes, hours, days. */
export const ELAPSED = [
  ...[-6, -5, -4, -3, -2, -1].flatMap((power) => [1, 2, 5].map((one) => one * 10 ** power)),
  ...[1, 2, 5, 10, 15, 30],
  ...[60, 3600].flatMap((unit) =>
    [1, 2, 5, 10, 15, 30].filter((one) => unit === 60 || one < 12).map((one) => one * unit),
  ),
  ...[12 * 3600, ...[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].map((days) => days * 86400)],
];

/** Seconds beside an axis whose marks are `step` seconds apart. @param {number} seconds @param {number} step */
export function elapsed(seconds, step) {
  const [size, name] = UNITS.find(([size]) => step >= size) ?? [1, "s"];
  return `${number(Number((seconds / size).toPrecision(9)))} ${name}`;
}

/** @type {[seconds: number, name: string][]} */
const AGO = [
  [86400, "d"],
  [3600, "h"],
  [60, "m"],
  [1, "s"],
];

/** @param {string | null} time ISO 8601 @param {number} [now] milliseconds */
export function ago(time, now = Date.now()) {
  if (!time) return "";
  const seconds = (now - Date.parse(time)) / 1000;
  if (seconds < 5) return "now";
  for (const [length, name] of AGO) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${name} ago`;
  }
  return "in the future";
}

/** The time in the zone of the browser, to the second. @param {string | number | null | undefined} time */
export function moment(time) {
  if (!time) return "";
  const at = new Date(time);
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return `${day} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

/** @type {[bytes: number, name: string][]} */
const SIZES = [
  [1e9, "GB"],
  [1e6, "MB"],
  [1e3, "kB"],
];

/** @param {number | null | undefined} count */
export function bytes(count) {
  if (count === null || count === undefined) return "";
  for (const [size, name] of SIZES) {
    if (count >= size) return `${number(count / size)} ${name}`;
  }
  return `${count} B`;
}

/** @param {number | null | undefined} count */
export const runsOf = (count) => (count === 1 ? "1 run" : `${count?.toLocaleString("en-US") ?? "…"} runs`);

/** A text of so many characters at most; a pair of surrogates is one. @param {string} text @param {number} length */
export function short(text, length) {
  const characters = [...text];
  return characters.length > length ? `${characters.slice(0, length - 1).join("")}…` : text;
}

/** A field without its namespace: `metrics.loss.min` is `loss.min`. @param {string} field */
export const shortName = (field) =>
  field.replace(/^(metrics|config|tags|properties|attribute)\./, "").replaceAll("`", "");

/** @param {string} field */
export const namespace = (field) => /^(metrics|config|tags|properties)\./.exec(field)?.[1] ?? "run";

/** Whether a metric, or its field, is one that was sampled of the machine and not logged. @param {string} name */
export const isSampled = (name) => /^(metrics\.)?`?system\//.test(name);
