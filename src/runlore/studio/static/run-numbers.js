// A filter that finds exactly some runs: their numbers in their experiments are shorter than ids.

import { ask } from "./api.js";

const ASKED_MAX = 6_000; // Characters of ids in one question; the server takes 8,000.
const FILTER_MAX = 7_500;

/** The filter that ids fulfil. @param {string[]} ids */
export const idIn = (ids) => `id in (${ids.map((id) => JSON.stringify(id)).join(", ")})`;

/** The conditions that numbers fulfil. @param {number[]} numbers */
export function spans(numbers) {
  /** @type {string[]} */
  const ranges = [];
  /** @type {number[]} */
  const single = [];
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  for (let first = 0; first < sorted.length; ) {
    let last = first;
    while (sorted[last + 1] === sorted[last] + 1) last += 1;
    if (last - first > 1) ranges.push(`number >= ${sorted[first]} and number <= ${sorted[last]}`);
    else single.push(...sorted.slice(first, last + 1));
    first = last + 1;
  }
  return [...ranges, ...(single.length ? [`number in (${single.join(", ")})`] : [])].join(" or ");
}

/** Lists of ids that one question takes. @param {string[]} ids */
export function parts(ids) {
  /** @type {string[]} */
  let part = [];
  const found = [part];
  let size = 0;
  for (const id of ids) {
    size += JSON.stringify(id).length + 2;
    if (size > ASKED_MAX) {
      found.push((part = []));
      size = JSON.stringify(id).length + 2;
    }
    part.push(id);
  }
  return found;
}

/**
 * The filter of the runs with these ids. Throws if it would be too long, or would find others.
 * @param {string[]} ids @param {boolean} children
 */
export async function filterOf(ids, children) {
  /** @type {Map<string, number[]>} */
  const numbers = new Map();
  for (const some of parts(ids)) {
    const found = await ask("runs", { f: idIn(some), children: true, limit: some.length, cols: ["status"] });
    found.experiments.forEach((name, n) => {
      numbers.set(name, [...(numbers.get(name) ?? []), found.numbers[n]]);
    });
  }
  const f = [...numbers].map(([name, own]) => `experiment = ${JSON.stringify(name)} and (${spans(own)})`).join(" or ");
  const count = [...numbers.values()].reduce((sum, own) => sum + own.length, 0);
  const isExact =
    f.length <= FILTER_MAX && (await ask("runs", { f, children, limit: 1, cols: ["status"] })).total === count;
  if (!isExact) throw new Error("No filter names just these runs: give them a tag, and filter by it.");
  return f;
}
