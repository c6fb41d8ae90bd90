// The logs of a run: they follow while one is at the end, have colours, and can be searched.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact@11.2.0/preact.js";
import { START, pieces } from "../ansi.js";
import { asError, ask, useAnswer } from "../api.js";
import { Empty, Wrong, isActive } from "../parts.js";
import { asof, copy, inPath } from "../view.js";

/** @import { Run } from "answers" */
/** @import { On } from "../vendor/preact@11.2.0/preact.js" */
/** @typedef {{from: number, nbytes: number, found: ReturnType<typeof pieces>["found"]}} LogPart */

const KEPT_MAX = 1_000_000;

/** @param {{data: Run, path: string}} props */
export function Logs({ data, path }) {
  const [name, setName] = useState(/** @type {string | null} */ (null));
  const [start, setStart] = useState(/** @type {number | null} */ (null));
  const isOver = !isActive(data.status);
  const names = useLogs(data, path, isOver);
  if (!names.length) {
    return isOver
      ? html`<${Empty} title="No logs"><p>Submitted runs and <code>runlore.init</code> keep what their scripts print.</p><//>`
      : html`<${Empty} title="Nothing was printed yet"><p>It appears here as soon as the script prints something.</p><//>`;
  }
  const shown = name ?? names.find((one) => one.startsWith("user_logs/")) ?? names[0];
  return html`
    <div class="bar">
      <label>
        file${" "}
        <select value=${shown} onChange=${(event) => (setStart(null), setName(event.currentTarget.value))}>
          ${names.map((one) => html`<option value=${one}>${one}</option>`)}
        </select>
      </label>
      ${copy ? "" : html`<${Search} path=${path} name=${shown} open=${setStart} />`}
    </div>
    <${Log} key=${`${shown} ${start}`} path=${path} name=${shown} start=${start} over=${!isActive(data.status)} toEnd=${() => setStart(null)} />
  `;
}

/**
 * The names of the run's logs. A file that appears is no event: until one does, it is looked for.
 * @param {Run} data @param {string} path @param {boolean} isOver
 */
function useLogs(data, path, isOver) {
  const [found, setFound] = useState(/** @type {string[]} */ ([]));
  const waits = !data.logs.length && !found.length && !isOver && !copy && asof.value === null;
  useEffect(() => {
    if (!waits) return undefined;
    const look = () =>
      ask(path).then(
        ({ logs }) => setFound(logs),
        () => undefined,
      );
    const timer = setInterval(look, 1000);
    return () => clearInterval(timer);
  }, [waits, path]);
  return data.logs.length ? data.logs : found;
}

/**
 * Finds lines of the whole file; one opens the log where it stands.
 * @param {{path: string, name: string, open: (start: number) => void}} props
 */
function Search({ path, name, open }) {
  const [text, setText] = useState("");
  const { data, error } = useAnswer(`${path}/log-search/${inPath(name)}`, { text }, { runs: [], skip: !text }).value;
  /** @param {On<SubmitEvent, HTMLFormElement>} event */
  const submit = (event) => {
    event.preventDefault();
    setText(String(new FormData(event.currentTarget).get("text")));
  };
  return html`
    <form onSubmit=${submit}>
      <input name="text" type="search" aria-label="Search the log" placeholder="Search the log" onInput=${(event) => event.currentTarget.value || setText("")} />
    </form>
    ${text && error ? html`<${Wrong} error=${error} />` : ""}
    ${text && data ? html`<span role="status">${data.total} lines</span>` : ""}
    ${
      text && data?.hits.length
        ? html`
          <ol class="hits" aria-label="Found lines">
            ${data.hits.map(
              (hit) => html`
                <li key=${hit.start}>
                  <button class="quiet" onClick=${() => open(hit.start)}>
                    <span class="muted">${hit.line}</span> <code>${pieces(hit.text)
                      .found.map((one) => one.text)
                      .join("")}</code>
                  </button>
                </li>
              `,
            )}
          </ol>
        `
        : ""
    }
  `;
}

/**
 * A log from a byte on, or its end, and what is added to it.
 * @param {{path: string, name: string, start: number | null, over: boolean, toEnd: () => void}} props
 */
function Log({ path, name, start, over, toEnd }) {
  const [parts, setParts] = useState(/** @type {LogPart[]} */ ([]));
  const [error, setError] = useState(/** @type {Error | null} */ (null));
  const [unseen, setUnseen] = useState(0);
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const next = useRef(start);
  const isAtEnd = useRef(start === null);
  useEffect(() => {
    let timer = 0;
    let left = false;
    let state = START;
    const more = async () => {
      try {
        const part = await ask(`${path}/logs/${inPath(name)}`, { from: next.current });
        if (left) return;
        next.current = part.next;
        setError(null);
        if (part.text) {
          const { found, next: following } = pieces(part.text, state);
          state = following;
          setParts((held) => shortened([...held, { from: part.from, nbytes: part.text.length, found }]));
          if (!isAtEnd.current) setUnseen((count) => count + part.text.split("\n").length - 1);
        }
        if (copy || part.has_ended) return;
        if (!over || part.text) timer = setTimeout(more, part.text ? 200 : 1000);
      } catch (problem) {
        if (!left) setError(asError(problem));
      }
    };
    more();
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, [name, over]);
  const toLastLine = () => {
    if (frame.current) frame.current.scrollTop = frame.current.scrollHeight;
  };
  useLayoutEffect(() => {
    if (isAtEnd.current) toLastLine();
  }, [parts]);
  /** @param {On<Event, HTMLElement>} event */
  const scrolled = ({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
    isAtEnd.current = scrollHeight - scrollTop - clientHeight < 40;
    if (isAtEnd.current) setUnseen(0);
  };
  const follow = () => {
    isAtEnd.current = true;
    setUnseen(0);
    toLastLine();
  };
  return html`
    ${error ? html`<${Wrong} error=${error} />` : ""}
    ${start === null ? "" : html`<p class="muted">From the found line on. <button class="quiet" onClick=${toEnd}>To the end</button></p>`}
    <div class="log-frame">
      <pre ref=${frame} class="log" tabindex="0" role="log" aria-label=${name} onScroll=${scrolled}>${parts.map(
        (part) => html`<${Part} key=${part.from} part=${part} />`,
      )}</pre>
      ${unseen && start === null ? html`<button class="new-lines" onClick=${follow}>${unseen} new lines ↓</button>` : ""}
    </div>
  `;
}

/** @param {{part: LogPart}} props */
const Part = ({ part }) => part.found.map(({ text, look }) => (look ? html`<span class=${look}>${text}</span>` : text));

/** The last parts of a log that is too long to be shown whole. @param {LogPart[]} parts */
function shortened(parts) {
  let nbytes = parts.reduce((sum, part) => sum + part.nbytes, 0);
  let first = 0;
  while (nbytes > KEPT_MAX && first < parts.length - 1) nbytes -= parts[first++].nbytes;
  return parts.slice(first);
}
