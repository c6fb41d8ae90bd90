// The rows of a table of any size: asked for page by page, as they come into view.

import { signal, useLayoutEffect, useMemo, useRef } from "./vendor/preact@11.2.0/preact.js";
import { asError, ask, atHand } from "./api.js";
import { changed } from "./live.js";
import { asof } from "./view.js";

/** @import { GroupRows, RunRows } from "answers" */
/** @import { ReadonlySignal, Signal } from "./vendor/preact@11.2.0/preact.js" */
/**
 * @typedef {{total: number | null, error: (Error & {title?: string}) | null, turn: number}} PagesState `turn` changes
 *   when rows have come
 * @typedef {{ids: string[], depths?: number[], below?: number[]}} Rows an answer that a grid can show
 */
/**
 * A row of a table: the answer that has it, and its place there.
 * @template {Rows} Answer
 * @typedef {{answer: Answer, place: number}} Row
 */
/**
 * The rows of a table, as far as they are there.
 * @template {Rows} Answer
 * @typedef {object} Pages
 * @property {ReadonlySignal<PagesState>} state
 * @property {(first: number, last: number) => void} need asks for what is missing of some rows
 * @property {(count: number) => Promise<unknown>} [all] asks for the first rows, as far as they are not there
 * @property {(index: number) => Row<Answer> | null} row null while it is asked for
 */
/** @typedef {{runs: RunRows, groups: GroupRows}} Paged the answers that are asked for page by page */
/**
 * @template Answer
 * @typedef {{answer: Answer | null, asking?: boolean}} Page
 */
/**
 * What is held for a question; `old` are the pages of the one before.
 * @template Answer
 * @typedef {{place: string, pages: Map<number, Page<Answer>>, over: AbortController, state: Signal<PagesState>,
 *   old: Map<number, Page<Answer>> | null}} Held
 */

const PAGE = 100;
const STRIDE = 25;

/**
 * The pages of a table, asked for when they come into view.
 * @template {keyof Paged} Path
 * @param {Path} path @param {Record<string, unknown>} params the question without its pages
 * @param {string} [place] the same for questions with much the same rows: the rows of the one
 *   before stay until those of the next are there
 */
export function usePages(path, params, place) {
  const key = JSON.stringify([path, params, asof.value]);
  /** @param {number} number */
  const part = (number) => ({ ...params, offset: number * PAGE, limit: PAGE });
  const before = useRef(/** @type {Held<Paged[Path]> | null} */ (null));
  const held = useMemo(() => {
    const answer = /** @type {Paged[Path] | null} */ (atHand(path, part(0)));
    const last = !answer && before.current?.place === (place ?? key) ? before.current : null;
    /** @type {Held<Paged[Path]>} */
    const own = {
      place: place ?? key,
      pages: new Map(answer ? [[0, { answer }]] : []),
      over: new AbortController(),
      state: signal({ total: answer?.total ?? last?.state.value.total ?? null, error: null, turn: 0 }),
      old: last?.pages ?? null,
    };
    before.current = own;
    return own;
  }, [key]);
  const { pages, state, over } = held;
  const stride = useMemo(() => signal(0), []);

  /** @param {number} number */
  const fetchPage = async (number) => {
    /** @type {Page<Paged[Path]>} */
    const page = pages.get(number) ?? { answer: null };
    if (page.asking) return;
    page.asking = true;
    pages.set(number, page);
    try {
      const answer = /** @type {Paged[Path]} */ (await ask(path, part(number), over.signal));
      page.answer = answer;
      page.asking = false;
      if (over.signal.aborted) return;
      if (![...pages.values()].some((one) => one.asking)) held.old = null;
      state.value = { total: answer.total, error: null, turn: state.value.turn + 1 };
    } catch (error) {
      if (!over.signal.aborted) state.value = { ...state.value, error: asError(error) };
    } finally {
      page.asking = false;
    }
  };

  useLayoutEffect(() => {
    if (!pages.has(0)) fetchPage(0); // Before the next frame, which nobody waits for.
    let timer = 0;
    const stop = changed(() => {
      if (asof.value !== null || timer) return;
      timer = setTimeout(() => {
        timer = 0;
        for (const number of pages.keys()) fetchPage(number); // Those that were seen.
      }, 500);
    });
    return () => {
      over.abort();
      clearTimeout(timer);
      stop();
    };
  }, [key]);

  return {
    state,
    /** Asks for what is missing of some rows. @param {number} first @param {number} last */
    need(first, last) {
      stride.value = Math.floor(first / STRIDE);
      for (let n = Math.floor(first / PAGE); n <= Math.floor(Math.max(first, last) / PAGE); n += 1) {
        if (!pages.has(n)) fetchPage(n);
      }
    },
    /** Asks for the first rows, as far as they are not there. @param {number} count */
    all: (count) =>
      Promise.all(Array.from({ length: Math.ceil(count / PAGE) }, (_, n) => pages.get(n)?.answer ?? fetchPage(n))),
    /** The rows in view, and some more. */
    near() {
      const first = stride.value * STRIDE;
      return Array.from({ length: 4 * STRIDE }, (_, n) => this.row(first + n)).filter((row) => row !== null);
    },
    /**
     * The answer that has the row, and the row's place in it; null while it is asked for.
     * @param {number} index @returns {Row<Paged[Path]> | null}
     */
    row(index) {
      const number = Math.floor(index / PAGE);
      const answer = pages.get(number)?.answer ?? held.old?.get(number)?.answer;
      const place = index % PAGE;
      return answer && place < answer.ids.length ? { answer, place } : null;
    },
  };
}
