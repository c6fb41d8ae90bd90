// What simple charts need: scales from values to pixels, and round numbers on axes. No DOM.

/** Round numbers from low to high, about as many as asked for. @param {number} low @param {number} high */
export function ticks(low, high, count = 5) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((one) => one * size >= rough) ?? 10) * size;
  const first = Math.ceil(low / step);
  /** @type {number[]} */
  const found = [];
  for (let n = first; n * step <= high + step * 1e-9 && found.length < 50; n += 1) found.push(n * step);
  return found;
}

/**
 * The scale of some values: numbers between the least and the greatest, texts in their order.
 * @typedef {{isNumber: boolean, at: (value: unknown) => number, marks: (string | number)[]}} Scale
 * @param {unknown[]} values @param {number} start @param {number} end pixels @returns {Scale}
 */
export function scaleOf(values, start, end) {
  const there = values.filter((value) => value !== null && value !== undefined);
  if (there.length && there.every(isFiniteNumber)) return linear(Math.min(...there), Math.max(...there), start, end);
  const names = [...new Set(there.map(String))].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  /** @param {unknown} value */
  const at = (value) => start + ((names.indexOf(String(value)) + 0.5) / names.length) * (end - start);
  return { isNumber: false, at, marks: names };
}

/** @param {number} least @param {number} greatest @param {number} start @param {number} end @returns {Scale} */
function linear(least, greatest, start, end) {
  const room = (greatest - least) * 0.04 || Math.abs(least) * 0.04 || 1;
  const [low, high] = [least - room, greatest + room];
  /** @param {unknown} value */
  const at = (value) => start + ((Number(value) - low) / (high - low)) * (end - start);
  return { isNumber: true, at, marks: ticks(low, high) };
}

/** @param {unknown} value @returns {value is number} */
const isFiniteNumber = (value) => Number.isFinite(value);

/** Whether a field has at least one number, and nothing else. @param {unknown[]} values */
export const isNumeric = (values) =>
  values.some((value) => value !== null) && values.every((value) => value === null || isFiniteNumber(value));
