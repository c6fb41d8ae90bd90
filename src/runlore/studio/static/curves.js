// From an answer about curves to what is drawn: lines, the bands around them, and marks. No DOM.

/** @import { Curves, GroupCurve, RunCurve } from "answers" */
/**
 * @typedef {(number | null)[]} Values of a curve at its places; null is a gap
 * @typedef {(number | null | undefined)[]} Whole values over the whole axis; undefined where a curve has no place
 * @typedef {{key: string, values: Whole, colour: number, alpha: number,
 *   width: number, dash: boolean, alone: number[], isEdge?: boolean}} Line
 * @typedef {{lines: Line[], bands: {upper: number, lower: number, colour: number}[],
 *   marks: {place: number, colour: number, nan: number, up: number, down: number}[]}} Drawing
 */

export const BANDS_MAX = 8;
const FAINT = 0.25;

/**
 * Spreads values over the axis: undefined where there is no point, null where a point is a gap.
 * @param {number} length that of the axis @param {number[]} places @param {Values} values @param {boolean} isLog
 * @returns {Whole}
 */
export function spread(length, places, values, isLog = false) {
  const whole = new Array(length).fill(undefined);
  places.forEach((place, index) => {
    const value = values[index];
    whole[place] = isLog && value !== null && value <= 0 ? null : value;
  });
  return whole;
}

/** The places of values that no line reaches: those beside them are gaps, or there are none. @param {Whole} values */
export function alone(values) {
  /** @type {number[]} */
  const found = [];
  /** @type {number | null} */
  let before = null; // The last point: a number, or null for a gap.
  let candidate = -1;
  values.forEach((value, place) => {
    if (value === undefined) return;
    if (value === null) {
      if (candidate >= 0) found.push(candidate);
      candidate = -1;
    } else candidate = before === null ? place : -1;
    before = value;
  });
  if (candidate >= 0) found.push(candidate);
  return found;
}

/**
 * The values moved up or down by others, null where one is missing.
 * @param {Values} values @param {Values} by @param {1 | -1} sign
 */
const moved = (values, by, sign) =>
  values.map((value, n) => {
    const change = by[n];
    return value === null || change === null ? null : value + sign * change;
  });

/**
 * What is drawn of an answer.
 * @param {Curves} answer @param {Map<string, {colour: number}>} runs
 * @param {{band: string, isLog: boolean, opened: Set<string>}} options
 * @returns {Drawing}
 */
export function drawing(answer, runs, { band, isLog, opened }) {
  const { lines, bands, draw } = drawer(answer.x.length, isLog);
  const groups = answer.groups ?? [];
  /** @param {string} id */
  const colourOf = (id) => runs.get(id)?.colour ?? 0;
  const shown = answer.groups
    ? answer.series.filter((one) => groups.some((g) => opened.has(g.group) && g.run_ids.includes(one.run)))
    : answer.series;
  const withBands = band !== "none" && (groups.length || shown.length) <= BANDS_MAX;
  groups.forEach((group, number) => {
    draw(`group ${group.group}`, group.places, group.smooth ?? group.mean, {
      colour: number % 8,
      isThick: true,
      around: withBands ? around(band, group.mean, group.deviation, [group.least, group.greatest]) : null,
    });
  });
  for (const one of shown) {
    const colour = colourOf(one.run);
    const isPart = groups.length > 0;
    const { mean, std, min, max } = one;
    const edges = withBands && !isPart && mean && std && min && max ? around(band, mean, std, [min, max]) : null;
    if (one.smooth) {
      draw(`raw ${one.run}`, one.places, one.last, { colour, alpha: FAINT, around: edges });
      draw(one.run, one.places, one.smooth, { colour });
    } else draw(one.run, one.places, one.last, { colour, alpha: isPart ? 0.5 : 1, around: edges });
  }
  const marks = shown.flatMap((one) =>
    one.odd.map(([index, nan, up, down]) => ({ place: index, colour: colourOf(one.run), nan, up, down })),
  );
  return { lines, bands, marks };
}

/** @param {string} band @param {Values} mean @param {Values} deviation @param {Values[]} edges */
function around(band, mean, deviation, [least, greatest]) {
  return band === "std" ? [moved(mean, deviation, 1), moved(mean, deviation, -1)] : [greatest, least];
}

/** @param {number} length @param {boolean} isLog */
function drawer(length, isLog) {
  /** @type {Line[]} */
  const lines = [];
  /** @type {Drawing["bands"]} */
  const bands = [];
  /**
   * @param {string} key @param {number[]} places @param {Values} values
   * @param {{colour: number, alpha?: number, isThick?: boolean, around?: Values[] | null}} look
   */
  const draw = (key, places, values, { colour, alpha = 1, isThick = false, around: edges = null }) => {
    const whole = spread(length, places, values, isLog);
    const line = { key, colour, dash: !isThick, width: isThick ? 2.5 : 1.5 };
    lines.push({ ...line, values: whole, alpha, alone: alone(whole) });
    if (!edges) return;
    const [upper, lower] = edges.map((edge) => spread(length, places, edge, isLog));
    bands.push({ upper: lines.length + 1, lower: lines.length + 2, colour });
    for (const values of [upper, lower])
      lines.push({ ...line, key: `edge ${key}`, values, alpha: 0, alone: [], isEdge: true });
  };
  return { lines, bands, draw };
}

/**
 * The value of a series at a place of the axis, or the one before; null outside of it and in gaps.
 * @param {number[]} places @param {Values} values @param {number} at
 */
export function valueAt(places, values, at) {
  let low = 0;
  let high = places.length - 1;
  if (high < 0 || at < places[0] || at > places[high]) return null;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (places[middle] <= at) low = middle;
    else high = middle - 1;
  }
  return values[low] ?? null;
}

/** How many buckets have values that a logarithmic axis does not have. @param {Curves} answer */
export const notPositive = (answer) =>
  answer.series.reduce((sum, one) => sum + one.last.filter((value) => value !== null && value <= 0).length, 0);

/**
 * An answer without the places at which x is not positive.
 * @template {Curves} Answer @param {Answer} answer @returns {Answer}
 */
export function positiveX(answer) {
  const first = answer.x.findIndex((x) => x > 0);
  if (first === 0 || !answer.x.length) return answer;
  const cut = first < 0 ? answer.x.length : first;
  /** @template {RunCurve | GroupCurve} Curve @param {Curve} one @returns {Curve} */
  const shifted = (one) => {
    const kept = one.places.map((place, n) => [place, n]).filter(([place]) => place >= cut);
    /** @type {Curve & Record<string, any>} */
    const own = { ...one, places: kept.map(([place]) => place - cut) };
    for (const [key, values] of Object.entries(one)) {
      if (key !== "places" && key !== "run_ids" && key !== "odd" && Array.isArray(values))
        own[key] = kept.map(([, n]) => values[n]);
    }
    if ("odd" in one)
      own.odd = one.odd.filter(([place]) => place >= cut).map(([place, ...rest]) => [place - cut, ...rest]);
    return own;
  };
  return {
    ...answer,
    x: answer.x.slice(cut),
    series: answer.series.map(shifted),
    groups: answer.groups?.map(shifted),
  };
}
