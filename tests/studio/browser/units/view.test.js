import { parse, write } from "../view.js";
import { chance, same } from "./testing.js";

const TEXTS = ["a", "a b", "é", "日本", "a/b", "%2F", "?&=#", "'\"<script>", "m.`val/acc`", "..", "\u202e"];

/** @import { Next } from "../view.js" */

/** @param {string} address @returns {[path: string, query: string]} */
const split = (address) => {
  const at = address.indexOf("?");
  return at < 0 ? [address, ""] : [address.slice(0, at), address.slice(at)];
};
/** @param {Next} view */
const again = (view) => parse(...split(write(view)));
/** @param {object} view */
const sorted = (view) => Object.fromEntries(Object.entries(view).sort(([a], [b]) => (a < b ? -1 : 1)));

/** @param {() => number} random */
function some(random) {
  /** @template T @param {T[]} list */
  const one = (list) => list[Math.floor(random() * list.length)];
  const list = () => Array.from({ length: 1 + Math.floor(random() * 3) }, () => one(TEXTS));
  /** @type {Next & Record<string, any>} */
  const view = one([
    () => ({ page: "experiments" }),
    () => ({ page: "runs", experiment: one(TEXTS.filter((text) => text !== "..")) }),
    () => ({ page: "runs" }),
    () => ({ page: "compare", runs: list(), hide: list() }),
    () => ({ page: "run", run: one(["0a1b", "run 1"]), tab: one(["details", "history"]) }),
  ])();
  for (const key of ["q", "f", "sort"]) if (random() < 0.4) view[key] = one(TEXTS);
  if (random() < 0.4) view.cols = list();
  if (random() < 0.3) view.tree = true;
  if (random() < 0.3) view.asof = Math.floor(random() * 1e9);
  return view;
}

export const tests = {
  "an address gives the view that wrote it"() {
    const random = chance(1);
    for (let turn = 0; turn < 500; turn += 1) {
      const view = some(random);
      same(sorted(again(view)), sorted(view));
    }
  },
  "a view has one address"() {
    const random = chance(2);
    for (let turn = 0; turn < 200; turn += 1) {
      const view = some(random);
      const shuffled = /** @type {Next} */ (Object.fromEntries(Object.entries(view).reverse()));
      same(write(shuffled), write(view));
      same(write(again(view)), write(view));
    }
  },
  "what a page has by default is not in its address"() {
    same(write({ page: "experiments", q: "", tree: false, asof: null }), "/");
    same(write({ page: "run", run: "r", tab: "details" }), "/run/r");
  },
  "an address that nobody wrote is read as far as it can be"() {
    same(parse("/nowhere/%E0%A4%A", ""), { page: "experiments" });
    same(parse("/runs", "?asof=-1&tree=yes&unknown=1"), { page: "runs", tree: false });
    same(parse("/runs", "?asof=99999999999999999999"), { page: "runs" });
    same(parse("/e/%E0%A4%A", ""), { page: "runs", experiment: "%E0%A4%A" });
  },
};
