// The view: what a page shows is its address. This module alone reads and writes addresses.

import { signal, computed } from "./vendor/preact@11.2.0/preact.js";

/**
 * What a page shows. `runs` are selected runs, or those that are compared; `missing` is the name of
 * a view that is not there.
 * @typedef {{page: string, experiment?: string, run?: string, tab?: string, missing?: string, asof?: number}
 *   & {[key in Lists]?: string[]} & {[key in Flags]?: boolean} & {[key in Texts]?: string}} View
 * @typedef {"cols" | "runs" | "hide" | "branches" | "charts"} Lists
 * @typedef {"tree" | "since" | "closed" | "all" | "clip"} Flags
 * @typedef {"q" | "f" | "sort" | "group" | "agg" | "drawer" | "pin" | "sql" | "split" | "other" | "what" | "who"
 *   | "show" | "x" | "y" | "xl" | "smooth" | "band" | "zoom" | "log" | "v"} Texts
 */
/**
 * Changes of a view: null for what it no longer has.
 * @typedef {{[key in Exclude<keyof View, "page">]?: View[key] | null} & {page?: string}} Changes
 * @typedef {Changes & {page: string}} Next another view
 */
/** @typedef {Lists | Flags | Texts | "asof"} Key a parameter of an address */

export const base = document.body.dataset.base ?? "";

/**
 * What a copy that was opened from disk holds: {answers, files, runs}; null in a Studio. Its views
 * stand after the # of the address, as there is no server for other paths.
 */
export const copy = self.runloreCopy ?? null;

/** @type {string[]} */
const LISTS = ["cols", "runs", "hide", "branches", "charts"];
/** @type {string[]} */
const FLAGS = ["tree", "since", "closed", "all", "clip"];
/** @type {{[key in Key]?: string}} */
const NAMED = { runs: "run", branches: "branch" }; // In an address, one run after the other.
/** @param {Key} key */
const named = (key) => NAMED[key] ?? key;
/**
 * Lists that may be longer than an address can be; the browser's history has those then.
 * @type {("runs" | "branches")[]}
 */
const LONG = ["runs", "branches"];
const ADDRESS_MAX = 12_000;
/** The parameters of all pages in the order in which addresses have them. */
const ORDER = /** @type {Key[][]} */ ([
  ["q", "f", "cols", "sort", "group", "agg", "tree", "closed", "branches"],
  ["all", "runs", "hide", "drawer", "pin", "sql", "split", "charts"],
  ["other", "what", "who", "show", "x", "y", "xl", "smooth", "band", "clip", "zoom", "log", "v", "since", "asof"],
]).flat();
const PAGES = ["runs", "compare", "sql", "targets", "new", "views"];

/** @param {string} path @param {string} query @returns {View} */
export function parse(path, query) {
  /** @type {Record<string, any> & {page: string}} */
  const view = place(path);
  const params = new URLSearchParams(query);
  for (const key of ORDER) {
    const value = params.get(named(key));
    if (value === null) continue;
    if (LISTS.includes(key)) view[key] = params.getAll(named(key));
    else if (FLAGS.includes(key)) view[key] = value === "1";
    else if (key === "asof") {
      if (/^\d{1,15}$/.test(value)) view.asof = Number(value);
    } else view[key] = value;
  }
  return view;
}

/** @param {string} path @returns {View} */
function place(path) {
  const parts = path.split("/").filter(Boolean).map(decoded);
  const [first, ...rest] = parts;
  if (copy && first !== "run") return { page: "compare" };
  if (first === "e" && rest.length) return { page: "runs", experiment: rest.join("/") };
  if (first === "run" && rest.length) return { page: "run", run: rest[0], tab: rest[1] ?? "details" };
  if (first === "v") return { page: "views", missing: rest.join("/") }; // Else one would be elsewhere.
  if (PAGES.includes(first)) return { page: first };
  return { page: "experiments" };
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a view, without what it has by default. @param {Next} view */
export function write(view, before = base) {
  const params = new URLSearchParams();
  for (const key of ORDER) {
    const value = view[key];
    if (value === undefined || value === null || value === "" || value === false) continue;
    if (key === "since" && (view.asof ?? null) === null) continue; // It is about the past.
    if (Array.isArray(value)) for (const one of value) params.append(named(key), one);
    else params.set(key, value === true ? "1" : String(value));
  }
  const query = params.toString();
  return `${copy ? "#" : before}${path(view)}${query ? `?${query}` : ""}`;
}

/** A name with slashes, such as that of a file, as paths of addresses have it. @param {string} name */
export const inPath = (name) => name.split("/").map(encodeURIComponent).join("/");

/** @param {Next} view */
function path(view) {
  if (view.page === "run") {
    const tab = view.tab && view.tab !== "details" ? `/${view.tab}` : "";
    return `/run/${encodeURIComponent(view.run ?? "")}${tab}`;
  }
  if (view.page === "runs") return view.experiment ? `/e/${inPath(view.experiment)}` : "/runs";
  return PAGES.includes(view.page) ? `/${view.page}` : "/";
}

/** @returns {View} */
function now() {
  if (!copy) return { ...parse(location.pathname.slice(base.length), location.search), ...history.state?.long };
  const [path, query] = location.hash.slice(1).split("?");
  return parse(path, query ?? "");
}

export const view = signal(now());

/** The position that all pages show, or null for now. */
export const asof = computed(() => view.value.asof ?? null);

/** The view without what is too long for its address, and that apart. @param {Next} next */
function cut(next) {
  const short = { ...next };
  /** @type {Changes} */
  const long = {};
  for (const key of LONG) {
    if (write(short).length <= ADDRESS_MAX) break;
    long[key] = short[key];
    delete short[key];
  }
  return { short, state: Object.keys(long).length ? { long } : null };
}

/** Whether the address says all that is shown. */
export const isInAddress = computed(() => view.value && !history.state?.long);

/** Another view. Back comes to the present one, unless it is replaced. @param {Next} next */
export function go(next, { replace = false } = {}) {
  const { short, state } = cut(next);
  const address = write(short);
  if (state || history.state?.long || address !== (copy ? location.hash : location.pathname + location.search)) {
    if (replace) history.replaceState(state, "", address);
    else history.pushState(state, "", address);
  }
  view.value = now();
}

/** The present view with some changes. @param {Changes} changes @param {{replace?: boolean}} [options] */
export const change = (changes, options) => go({ ...view.value, ...changes }, options);

/** A page of its own, with the moment that is shown. @param {Next} next */
export const to = (next) => write({ ...next, v: null, asof: view.value.asof });

export const copyAddress = () => navigator.clipboard?.writeText(location.href);

addEventListener("popstate", () => {
  view.value = now();
});

// Links within the Studio load no new document.
addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (
    copy ||
    !(link instanceof HTMLAnchorElement) ||
    link.target ||
    link.hasAttribute("download") ||
    event.defaultPrevented
  )
    return;
  if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || !url.pathname.startsWith(`${base}/`)) return;
  if (url.pathname.startsWith(`${base}/api/`)) return;
  event.preventDefault();
  history.pushState(null, "", url.pathname + url.search);
  view.value = now();
  scrollTo(0, 0);
});
