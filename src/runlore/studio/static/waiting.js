// Values that were logged a moment ago: which curves have new ones, asked twice a second while one looks.

import { signal, useEffect } from "./vendor/preact@11.2.0/preact.js";
import { ask } from "./api.js";
import { asof, copy } from "./view.js";

const PAUSE_MS = 500;
const RUNS_MAX = 200;
/** Of each chart in view: the active runs that it shows. @type {Map<object, string[]>} */
const watched = new Map();

/**
 * When the last value of each metric was logged, by run and metric.
 * @typedef {Record<string, Record<string, string>>} Times
 */
const last = signal(/** @type {Times} */ ({}));
let timer = 0;

/** @param {Times} held @param {Times} found @returns {Times} */
const merged = (held, found) => ({
  ...held,
  ...Object.fromEntries(Object.entries(found).map(([id, own]) => [id, { ...held[id], ...own }])),
});

async function look() {
  timer = 0;
  if (!watched.size) return;
  if (document.visibilityState === "visible" && asof.value === null) {
    const ids = [...new Set([...watched.values()].flat())].slice(0, RUNS_MAX);
    try {
      const { waiting } = await ask("live", { run: ids });
      if (Object.keys(waiting).length) last.value = merged(last.value, waiting);
    } catch {
      // The page says it where it asks for more than this.
    }
  }
  if (!timer) timer = setTimeout(look, PAUSE_MS);
}

/**
 * A text that changes with each new value of the metric in one of the active runs, or of any of a
 * list of metrics; without a metric, with each metric that has its first value.
 * @param {string[]} ids @param {string | string[] | null} metric @param {boolean} isSeen
 */
export function useWaiting(ids, metric, isSeen) {
  const key = ids.join("\n");
  useEffect(() => {
    if (copy || !ids.length || !isSeen) return undefined;
    const mine = {};
    watched.set(mine, ids);
    if (!timer) timer = setTimeout(look, 0);
    return () => watched.delete(mine);
  }, [key, isSeen]);
  /** @param {string} id */
  const told = (id) =>
    metric === null
      ? Object.keys(last.value[id] ?? {}).join("\n")
      : [metric]
          .flat()
          .map((name) => last.value[id]?.[name] ?? "")
          .join(",");
  return ids
    .map(told)
    .join(" ")
    .replace(/^[ ,]+$/, "");
}
