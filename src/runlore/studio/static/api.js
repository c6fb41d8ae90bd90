// Questions to the server. An answer that did not change while one looks is not asked for again.

import { signal, useEffect, useMemo, useRef } from "./vendor/preact@11.2.0/preact.js";
import { asof, base, copy } from "./view.js";
import { changed } from "./live.js";

/** @import { AnswerTo, Arrived } from "answers" */
/** @import { Signal } from "./vendor/preact@11.2.0/preact.js" */
/** @typedef {Record<string, unknown>} Params */

/** What is wrong, as the server says it; of a refused change also what was done before, by whom and when. */
export class Problem extends Error {
  /**
   * @param {number} status @param {{title?: string, detail?: string, what?: string, by?: string, at?: string}} said
   */
  constructor(status, said) {
    super(said.detail ?? "no answer");
    this.status = status;
    this.title = said.title ?? "Error";
    this.what = said.what;
    this.by = said.by;
    this.at = said.at;
  }
}

/**
 * @template Data
 * @typedef {{data: Data | null, error: (Error & Partial<Problem>) | null, loading: boolean}} Answered
 */

/** What was thrown, as an error. @param {unknown} thrown @returns {Error & Partial<Problem>} */
export const asError = (thrown) => (thrown instanceof Error ? thrown : new Error(String(thrown)));

/** @param {string} path @param {Params} params */
export function address(path, params = {}) {
  if (copy) return copy.files[decodeURIComponent(path)] ?? "#";
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value === undefined || value === null || value === "" || value === false) continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(key, String(one));
  }
  const text = query.toString();
  return `${base}/api/${path}${text ? `?${text}` : ""}`;
}

/**
 * What came with the page: its answers by address, and the position of before.
 * @type {{answers?: Record<string, object>, position?: number}}
 */
export const first = JSON.parse(document.getElementById("first")?.textContent || "{}");

/** An answer that says when it came: what grows by itself counts on from then. @param {object} data */
const arrived = (data) => Object.assign(data, { arrivedAt: Date.now() });

/** The answer that came with the page, once only. @param {string} url */
function brought(url) {
  const key = url.slice(base.length);
  const data = first.answers?.[key];
  if (!data) return undefined;
  delete first.answers?.[key];
  return arrived(data);
}

const KEPT_MAX = 40;
/** The last answers with their tags, the oldest first. @type {Map<string, {tag: string, data: object}>} */
const kept = new Map();

/** @param {string} url @param {string} tag @param {object} data */
function keep(url, tag, data) {
  kept.delete(url);
  kept.set(url, { tag, data });
  const [oldest] = kept.keys();
  if (kept.size > KEPT_MAX) kept.delete(oldest);
}

/**
 * An answer; one that has not changed is the very same object.
 * @param {string} url @param {AbortSignal} [signal] @returns {Promise<any>}
 */
async function asked(url, signal) {
  const data = brought(url);
  if (data) return data;
  const held = kept.get(url);
  const response = await fetched(url, { signal, headers: held ? { "If-None-Match": held.tag } : {} });
  if (response.status === 304) return held?.data;
  const found = arrived(await response.json());
  const tag = response.headers.get("ETag");
  if (tag) keep(url, tag, found);
  return found;
}

/** @param {string} url @param {RequestInit} options */
async function fetched(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (asError(error).name === "AbortError") throw error;
    const detail = "the Studio does not answer: start it again with `runlore studio`";
    throw new Problem(0, { title: "NoServer", detail });
  }
  if (response.ok || response.status === 304) return response;
  const text = await response.text();
  let said = {};
  try {
    said = JSON.parse(text);
  } catch {
    said = { detail: text.trim() };
  }
  throw new Problem(response.status, said);
}

/**
 * The answer that a copy holds. Its key is that of `studio/copies/questions.py`.
 * @param {string} path @param {Params} params
 */
function copied(path, params) {
  const pairs = Object.entries(params)
    .filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false)
    .flatMap(([key, value]) => (Array.isArray(value) ? value : [value]).map((one) => [key, String(one)]));
  /** @param {string[]} one @param {string[]} other */
  const before = ([a, b], [c, d]) => (a < c || (a === c && b < d) ? -1 : 1);
  return copy?.answers[JSON.stringify([decodeURIComponent(path), pairs.sort(before)])] ?? null;
}

/** @param {string} path @param {Params} params */
async function fromCopy(path, params) {
  const found = copied(path, params);
  if (found === null)
    throw new Problem(0, { title: "NotInCopy", detail: "this copy of some runs does not have it; the Studio does" });
  return found;
}

/**
 * An answer as of the moment that is shown; as of now if `asof` is null in the question.
 * @template {string} Path @param {Path} path @param {Params} [params] @param {AbortSignal} [signal]
 * @returns {Promise<AnswerTo<Path> & Arrived>}
 */
export const ask = (path, params = {}, signal) =>
  copy ? fromCopy(path, params) : asked(address(path, { asof: asof.value, ...params }), signal);

/**
 * An answer that needs no question, once only: it came with the page, or a copy holds it; else null.
 * @template {string} Path @param {Path} path @param {Params} params @returns {(AnswerTo<Path> & Arrived) | null}
 */
export const atHand = (path, params) =>
  /** @type {any} */ (copy ? copied(path, params) : brought(address(path, { asof: asof.value, ...params }))) ?? null;

/**
 * A change; only editors may make one, and only of the present.
 * @param {string} method @param {string} path @param {object} [body] @returns {Promise<any>} the answer
 */
export async function send(method, path, body) {
  const response = await fetched(address(path), {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body ?? {}),
  });
  return response.json();
}

/**
 * The answer to a question as a signal of {data, error}. It is asked again when something changes
 * that concerns it: `runs` are the ids of the runs that it is about, none for all; and when `turn`
 * changes.
 * @template {string} Path @param {Path} path @param {Params} params
 * @param {{runs?: string[] | null, skip?: boolean, turn?: string}} [options]
 * @returns {Signal<Answered<AnswerTo<Path> & Arrived>>}
 */
export function useAnswer(path, params, { runs = null, skip = false, turn = "" } = {}) {
  const answer = useMemo(() => {
    const data = skip ? null : atHand(path, params);
    return signal(/** @type {Answered<AnswerTo<Path> & Arrived>} */ ({ data, error: null, loading: data === null }));
  }, []);
  const isFirst = useRef(answer.value.data !== null);
  const again = useRef(/** @type {(() => void) | null} */ (null));
  const key = skip ? null : JSON.stringify([path, params, asof.value]);
  useEffect(() => {
    if (key === null) return undefined;
    const over = new AbortController();
    let timer = 0;
    let asking = false;
    let isDue = false;
    const load = async () => {
      if (asking) {
        isDue = true; // When the present answer is there.
        return;
      }
      asking = true;
      try {
        const data = await ask(path, params, over.signal);
        if (!over.signal.aborted) answer.value = { data, error: null, loading: false };
      } catch (error) {
        if (!over.signal.aborted) answer.value = { ...answer.value, error: asError(error), loading: false };
      }
      asking = false;
      if (isDue && !over.signal.aborted) {
        isDue = false;
        load();
      }
    };
    again.current = load;
    if (isFirst.current) isFirst.current = false;
    else {
      answer.value = { ...answer.value, loading: true };
      load();
    }
    const stop = changed((message) => {
      if (asof.value !== null || timer) return;
      if (!message.reset && runs && !runs.some((id) => message.runs?.[id])) return;
      timer = setTimeout(() => {
        timer = 0;
        load();
      }, 300);
    });
    return () => {
      over.abort();
      clearTimeout(timer);
      stop();
    };
  }, [key]);
  useEffect(() => {
    if (turn) again.current?.();
  }, [turn]);
  return answer;
}
