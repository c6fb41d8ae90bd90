// From an answer about curves to what is drawn: lines, the bands around them, and marks. No DOM.

/**
 * @typedef {{key: string, values: (number | null | undefined)[], colour: number, alpha: number,
 *   width: number, dash: boolean, alone: number[], isEdge?: boolean}} Line
 * @typedef {{lines: Line[], bands: {upper: number, lower: number, colour: number}[],
 *   marks: {place: number, colour: number, nan: number, up: number, down: number}[]}} Drawing
 */

export const BANDS_MAX = 8;
const FAINT = 0.25;

/** Spreads values over the axis: undefined where there is no point, null where a point is a gap. */
export function spread(length, places, values, isLog = false) {
  const whole = new Array(length).fill(undefined);
  places.forEach((place, index) => {
    const value = values[index];
    whole[place] = isLog && value !== null && value <= 0 ? null : value;
  });
  return whole;
}

/** The places of values that no line reaches: those beside them are gaps, or there are none. */
export function alone(values) {
  const found = [];
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

/** The values moved up or down by others, null where one is missing. */
const moved = (values, by, sign) =>
  values.map((value, n) => (value === null || by[n] === null ? null : value + sign * by[n]));

/**
 * What is drawn of an answer.
 * @param {any} answer @param {Map<string, {colour: number}>} runs
 * @param {{band: string, isLog: boolean, opened: Set<string>}} options
 * @returns {Drawing}
 */
export function drawing(answer, runs, { band, isLog, opened }) {
  const { lines, bands, draw } = drawer(answer.x.length, isLog);
  const groups = answer.groups ?? [];
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
    const { colour } = runs.get(one.run);
    const isPart = groups.length > 0;
    const edges = withBands && !isPart && one.min ? around(band, one.mean, one.std, [one.min, one.max]) : null;
    if (one.smooth) {
      draw(`raw ${one.run}`, one.places, one.last, { colour, alpha: FAINT, around: edges });
      draw(one.run, one.places, one.smooth, { colour });
    } else draw(one.run, one.places, one.last, { colour, alpha: isPart ? 0.5 : 1, around: edges });
  }
  const marks = shown.flatMap((one) =>
    one.odd.map(([index, nan, up, down]) => ({ place: index, colour: runs.get(one.run).colour, nan, up, down })),
  );
  return { lines, bands, marks };
}

function around(band, mean, deviation, [least, greatest]) {
  return band === "std" ? [moved(mean, deviation, 1), moved(mean, deviation, -1)] : [greatest, least];
}

function drawer(length, isLog) {
  const lines = [];
  const bands = [];
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

/** The value of a series at a place of the axis, or the one before; null outside of it and in gaps. */
export function valueAt(places, values, at) {
  let low = 0;
  let high = places.length - 1;
  if (high < 0 || at < places[0] || at > places[high]) return null;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (places[middle] <= at) low = middle;
    else high = middle - 1;
  }
  return values[low];
}

/** How many buckets have values that a logarithmic axis does not have. */
export const notPositive = (answer) =>
  answer.series.reduce((sum, one) => sum + one.last.filter((value) => value !== null && value <= 0).length, 0);

/** An answer without the places at which x is not positive. */
export function positiveX(answer) {
  const first = answer.x.findIndex((x) => x > 0);
  if (first === 0 || !answer.x.length) return answer;
  const cut = first < 0 ? answer.x.length : first;
  const shifted = (one) => {
    const kept = one.places.map((place, n) => [place, n]).filter(([place]) => place >= cut);
    const own = { ...one, places: kept.map(([place]) => place - cut) };
    for (const [key, values] of Object.entries(one)) {
      if (key !== "places" && key !== "run_ids" && key !== "odd" && Array.isArray(values))
        own[key] = kept.map(([, n]) => values[n]);
    }
    if (one.odd) own.odd = one.odd.filter(([place]) => place >= cut).map(([place, ...rest]) => [place - cut, ...rest]);
    return own;
  };
  return {
    ...answer,
    x: answer.x.slice(cut),
    series: answer.series.map(shifted),
    groups: answer.groups?.map(shifted),
  };
}
