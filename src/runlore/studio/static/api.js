// Questions to the server. An answer that did not change while one looks is not asked for again.

import { signal, useEffect, useMemo } from "./vendor/preact@11.2.0/preact.js";
import { asof, base } from "./view.js";
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
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value === undefined || value === null || value === "" || value === false) continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(key, String(one));
  }
  const text = query.toString();
  return `${base}/api/${path}${text ? `?${text}` : ""}`;
}

async function answered(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const detail = "the Studio does not answer: start it again with `runlore studio`";
    throw new Problem(0, { title: "NoServer", detail });
  }
  if (response.ok) return response.json();
  const text = await response.text();
  let said = {};
  try {
    said = JSON.parse(text);
  } catch {
    said = { detail: text.trim() };
  }
  throw new Problem(response.status, said);
}

/** An answer as of the moment that is shown. */
export const ask = (path, params, signal) =>
  answered(address(path, { ...params, asof: asof.value }), { signal });

/** A change; only editors may make one, and only of the present. */
export const send = (method, path, body) =>
  answered(address(path), {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body ?? {}),
  });

/**
 * The answer to a question as a signal of {data, error}. It is asked again when something changes
 * that concerns it: `runs` are the ids of the runs that it is about, none for all.
 */
export function useAnswer(path, params, { runs = null, skip = false } = {}) {
  const answer = useMemo(() => signal({ data: null, error: null, loading: true }), []);
  const key = skip ? null : JSON.stringify([path, params, asof.value]);
  useEffect(() => {
    if (key === null) return undefined;
    let over = new AbortController();
    let timer = 0;
    let asking = false;
    const load = async () => {
      asking = true;
      const mine = over;
      try {
        const data = await ask(path, params, mine.signal);
        if (!mine.signal.aborted) answer.value = { data, error: null, loading: false };
      } catch (error) {
        if (!mine.signal.aborted) answer.value = { ...answer.value, error, loading: false };
      }
      asking = false;
    };
    answer.value = { ...answer.value, loading: true };
    load();
    const stop = changed((message) => {
      if (asof.value !== null || timer) return;
      if (!message.reset && runs && !runs.some((id) => message.runs?.[id])) return;
      timer = setTimeout(() => {
        timer = 0;
        if (!asking) load();
      }, 300);
    });
    return () => {
      over.abort();
      over = new AbortController();
      clearTimeout(timer);
      stop();
    };
  }, [key]);
  return answer;
}
