// The logs of a run: they follow while one is at the end, have colours, and can be searched.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact@11.2.0/preact.js";
import { START, pieces } from "../ansi.js";
import { ask, useAnswer } from "../api.js";
import { Empty, Wrong, isActive } from "../parts.js";
import { asof, copy } from "../view.js";

const KEPT_MAX = 1_000_000;

export function Logs({ data, path }) {
  const [name, setName] = useState(null);
  const [start, setStart] = useState(null);
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

/** The names of the run's logs. A file that appears is no event: until one does, it is looked for. */
function useLogs(data, path, isOver) {
  const [found, setFound] = useState([]);
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

const encoded = (name) => name.split("/").map(encodeURIComponent).join("/");

/** Finds lines of the whole file; one opens the log where it stands. */
function Search({ path, name, open }) {
  const [text, setText] = useState("");
  const { data, error } = useAnswer(`${path}/log-search/${encoded(name)}`, { text }, { runs: [], skip: !text }).value;
  const isThere = text && data;
  return html`
    <form onSubmit=${(event) => (event.preventDefault(), setText(event.currentTarget.elements.text.value))}>
      <input name="text" type="search" aria-label="Search the log" placeholder="Search the log" onInput=${(event) => event.currentTarget.value || setText("")} />
    </form>
    ${text && error ? html`<${Wrong} error=${error} />` : ""}
    ${isThere ? html`<span role="status">${data.total} lines</span>` : ""}
    ${
      isThere && data.hits.length
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

/** A log from a byte on, or its end, and what is added to it. */
function Log({ path, name, start, over, toEnd }) {
  const [parts, setParts] = useState([]);
  const [error, setError] = useState(null);
  const [unseen, setUnseen] = useState(0);
  const frame = useRef(null);
  const next = useRef(start);
  const isAtEnd = useRef(start === null);
  useEffect(() => {
    let timer = 0;
    let left = false;
    let state = START;
    const more = async () => {
      try {
        const part = await ask(`${path}/logs/${encoded(name)}`, { from: next.current });
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
        if (!left) setError(problem);
      }
    };
    more();
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, [name, over]);
  useLayoutEffect(() => {
    if (isAtEnd.current) frame.current.scrollTop = frame.current.scrollHeight;
  }, [parts]);
  const scrolled = () => {
    const { scrollHeight, scrollTop, clientHeight } = frame.current;
    isAtEnd.current = scrollHeight - scrollTop - clientHeight < 40;
    if (isAtEnd.current) setUnseen(0);
  };
  const follow = () => {
    isAtEnd.current = true;
    setUnseen(0);
    frame.current.scrollTop = frame.current.scrollHeight;
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

const Part = ({ part }) => part.found.map(({ text, look }) => (look ? html`<span class=${look}>${text}</span>` : text));

/** The last parts of a log that is too long to be shown whole. */
function shortened(parts) {
  let nbytes = parts.reduce((sum, part) => sum + part.nbytes, 0);
  let first = 0;
  while (nbytes > KEPT_MAX && first < parts.length - 1) nbytes -= parts[first++].nbytes;
  return parts.slice(first);
}
