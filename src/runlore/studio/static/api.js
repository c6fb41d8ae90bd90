// Questions to the server. An answer that did not change while one looks is not asked for again.

import { signal, useEffect, useMemo, useRef } from "./vendor/preact@11.2.0/preact.js";
import { asof, base, copy } from "./view.js";
import { changed } from "./live.js";

export class Problem extends Error {
  /** @param {{title?: string, detail?: string, [more: string]: any}} said as the server sent it */
  constructor(status, said) {
    super(said.detail ?? "no answer");
    Object.assign(this, said, { status, title: said.title ?? "Error" });
  }
}

/** @param {string} path @param {Record<string, any>} params */
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

/** What came with the page: its answers by address, and the position of before. */
export const first = JSON.parse(document.getElementById("first")?.textContent || "{}");

/** An answer that says when it came: what grows by itself counts on from then. */
const arrived = (data) => Object.assign(data, { arrivedAt: Date.now() });

/** The answer that came with the page, once only. */
function brought(url) {
  const key = url.slice(base.length);
  const data = first.answers?.[key];
  if (!data) return undefined;
  delete first.answers[key];
  return arrived(data);
}

const KEPT_MAX = 40;
const kept = new Map(); // The last answers with their tags, the oldest first.

function keep(url, tag, data) {
  kept.delete(url);
  kept.set(url, { tag, data });
  if (kept.size > KEPT_MAX) kept.delete(kept.keys().next().value);
}

/** An answer; one that has not changed is the very same object. */
async function asked(url, signal) {
  const data = brought(url);
  if (data) return data;
  const held = kept.get(url);
  const response = await fetched(url, { signal, headers: held ? { "If-None-Match": held.tag } : {} });
  if (response.status === 304) return held.data;
  const found = arrived(await response.json());
  if (response.headers.get("ETag")) keep(url, response.headers.get("ETag"), found);
  return found;
}

async function fetched(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
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

/** The answer that a copy holds. Its key is that of `studio/copies/questions.py`. */
function copied(path, params) {
  const pairs = Object.entries(params)
    .filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false)
    .flatMap(([key, value]) => (Array.isArray(value) ? value : [value]).map((one) => [key, String(one)]));
  const before = ([a, b], [c, d]) => (a < c || (a === c && b < d) ? -1 : 1);
  return copy.answers[JSON.stringify([decodeURIComponent(path), pairs.sort(before)])] ?? null;
}

async function fromCopy(path, params) {
  const found = copied(path, params);
  if (found === null)
    throw new Problem(0, { title: "NotInCopy", detail: "this copy of some runs does not have it; the Studio does" });
  return found;
}

/** An answer as of the moment that is shown; as of now if `asof` is null in the question. */
export const ask = (path, params, signal) =>
  copy ? fromCopy(path, params) : asked(address(path, { asof: asof.value, ...params }), signal);

/** An answer that needs no question, once only: it came with the page, or a copy holds it. */
export const atHand = (path, params) =>
  copy ? copied(path, params) : (brought(address(path, { asof: asof.value, ...params })) ?? null);

/** A change; only editors may make one, and only of the present. */
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
 */
export function useAnswer(path, params, { runs = null, skip = false, turn = "" } = {}) {
  const answer = useMemo(() => {
    const data = skip ? null : atHand(path, params);
    return signal({ data, error: null, loading: data === null });
  }, []);
  const isFirst = useRef(answer.value.data !== null);
  const again = useRef(null);
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
        if (!over.signal.aborted) answer.value = { ...answer.value, error, loading: false };
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
