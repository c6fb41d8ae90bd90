// One run: its details, metrics, children, logs, files and history.

import { html, useEffect, useRef, useState } from "../vendor/preact@11.2.0/preact.js";
import { address, ask, useAnswer } from "../api.js";
import { ago, bytes, duration, moment } from "../format.js";
import { Empty, Facts, RunName, Section, Status, Swatch, Time, Wrong } from "../parts.js";
import { RunActions, Tags } from "../run-actions.js";
import { asof, to, view } from "../view.js";
import { Charts } from "./compare.js";

const TABS = ["details", "metrics", "children", "logs", "files", "history"];
const ENDED = ["Completed", "Failed", "Canceled"];

export function Run() {
  const { run: id, tab } = view.value;
  const path = `runs/${encodeURIComponent(id)}`;
  const { data, error } = useAnswer(path, {}, { runs: [id] }).value;
  if (error && !data) return html`<${Wrong} error=${error} />`;
  if (!data) return html`<p class="muted">Loading…</p>`;
  const Tab = { details: Details, metrics: Metrics, children: Children, logs: Logs, files: Files, history: History }[
    TABS.includes(tab) ? tab : "details"
  ];
  return html`
    <${Head} data=${data} path=${path} />
    <nav class="tabs" aria-label="Parts of the run">
      ${TABS.map(
        (name) => html`
          <a href=${to({ page: "run", run: id, tab: name })} aria-current=${name === tab ? "page" : undefined}>
            ${name}
          </a>
        `,
      )}
    </nav>
    <${Tab} data=${data} path=${path} id=${id} />
  `;
}

function Head({ data, path }) {
  return html`
    <header class="run-head">
      <h1><${Swatch} colour=${data.colour} /> <bdi>${data.name}</bdi></h1>
      <${Status} of=${data.status} />
      <span class="muted">
        <a href=${to({ page: "runs", experiment: data.experiment })}><bdi>${data.experiment}</bdi></a>
        ${` · run ${data.number} · `}<code>${data.id}</code>
      </span>
      <span class="grow"></span>
      <${RunActions} data=${data} path=${path} />
    </header>
  `;
}

const shown = (value) =>
  value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);

const pairs = (values) => Object.entries(values ?? {}).map(([key, value]) => [key, shown(value)]);

function flattened(config, before = "") {
  return Object.entries(config ?? {}).flatMap(([key, value]) =>
    value !== null && typeof value === "object" && !Array.isArray(value)
      ? flattened(value, `${before}${key}.`)
      : [[before + key, shown(value)]],
  );
}

function Details({ data, path }) {
  const failure = data.error;
  const config = flattened(data.config);
  return html`
    ${failure
      ? html`
          <div class="wrong">
            <h2>Why it failed</h2>
            <pre>${[failure.code, failure.message, failure.debug_stack_trace].filter(Boolean).join("\n\n")}</pre>
          </div>
        `
      : ""}
    <div class="columns">
      <${Section} title="Run">
        <${Facts}
          rows=${[
            ["created", html`<${Time} at=${data.created} />`],
            ["started", html`<${Time} at=${data.started} />`],
            ["ended", html`<${Time} at=${data.ended} />`],
            ["description", shown(data.description)],
            ["target", shown(data.target)],
            ["user", shown(data.user)],
          ].filter(([, value]) => value !== "")}
        />
      <//>
      <${Section} title="Config" count=${config.length}>
        ${config.length ? html`<${Facts} rows=${config} />` : html`<p class="muted">run.add_config(…) adds some.</p>`}
      <//>
      <${Section} title="Tags" count=${Object.keys(data.tags ?? {}).length}>
        <${Tags} data=${data} path=${path} />
      <//>
      ${data.environment
        ? html`
            <${Section} title="Surroundings"><${Facts} rows=${flattened(data.environment)} /><//>
          `
        : ""}
      <${Section} title="Properties" count=${Object.keys(data.properties ?? {}).length}>
        <${Facts} rows=${pairs(data.properties)} />
      <//>
    </div>
  `;
}

function Metrics({ data, id }) {
  const [part, setPart] = useState("");
  const { data: found } = useAnswer(`runs/${encodeURIComponent(id)}/metrics`, {}, { runs: [id] }).value;
  if (!found) return html`<p class="muted">Loading…</p>`;
  if (!found.metrics.length) {
    return html`<${Empty} title="No metric yet"><p>run.log("loss", 0.5) logs one.</p><//>`;
  }
  const names = found.metrics.filter((name) => name.toLowerCase().includes(part.toLowerCase()));
  const runs = new Map([[id, { name: data.name, colour: data.colour }]]);
  return html`
    <div class="bar">
      <input
        type="search"
        aria-label="Find a metric"
        placeholder=${`Find one of ${found.metrics.length}`}
        value=${part}
        onInput=${(event) => setPart(event.currentTarget.value)}
      />
    </div>
    <${Charts} runs=${runs} names=${names} />
  `;
}

function Children({ id }) {
  const params = { parent: id, limit: 500, cols: ["status", "duration", "created"] };
  const { data } = useAnswer("runs", params).value;
  if (!data) return html`<p class="muted">Loading…</p>`;
  if (!data.ids.length) return html`<${Empty} title="No children"><p>run.child_run() starts one.</p><//>`;
  return html`
    <table class="plain">
      <thead>
        <tr><th scope="col">Run</th><th scope="col">Status</th><th scope="col" class="number">Duration</th><th scope="col">Created</th></tr>
      </thead>
      <tbody>
        ${data.ids.map(
          (child, n) => html`
            <tr key=${child}>
              <td><${RunName} id=${child} name=${data.names[n]} colour=${data.colours[n]} /></td>
              <td><${Status} of=${data.data[0][n]} /></td>
              <td class="number">${duration(data.data[1][n])}</td>
              <td><${Time} at=${data.data[2][n]} /></td>
            </tr>
          `,
        )}
      </tbody>
    </table>
    ${data.total > data.ids.length ? html`<p class="muted">The first ${data.ids.length} of ${data.total}.</p>` : ""}
  `;
}

function Logs({ data, path }) {
  const [chosen, setName] = useState(null);
  const isOver = ENDED.includes(data.status);
  const names = useLogs(data, path, isOver);
  if (!names.length) {
    return isOver
      ? html`<${Empty} title="No logs"><p>Submitted runs and <code>runlore.init</code> keep what their scripts print.</p><//>`
      : html`<${Empty} title="Nothing was printed yet"><p>It appears here as soon as the script prints something.</p><//>`;
  }
  const name = chosen ?? names.find((one) => one.startsWith("user_logs/")) ?? names[0];
  return html`
    <div class="bar">
      <label>
        file
        <select value=${name} onChange=${(event) => setName(event.currentTarget.value)}>
          ${names.map((one) => html`<option value=${one}>${one}</option>`)}
        </select>
      </label>
    </div>
    <${Log} key=${name} path=${path} name=${name} over=${isOver} />
  `;
}

/** The names of the run's logs. A file that appears is no event: until one does, it is looked for. */
function useLogs(data, path, isOver) {
  const [found, setFound] = useState([]);
  const waits = !data.logs.length && !found.length && !isOver && asof.value === null;
  useEffect(() => {
    if (!waits) return undefined;
    const look = () => ask(path).then(({ logs }) => setFound(logs), () => undefined);
    const timer = setInterval(look, 1000);
    return () => clearInterval(timer);
  }, [waits, path]);
  return data.logs.length ? data.logs : found;
}

/** The end of a log file, which grows. It follows while one is at its end. */
function Log({ path, name, over }) {
  const [text, setText] = useState("");
  const [error, setError] = useState(null);
  const frame = useRef(null);
  const next = useRef(null);
  useEffect(() => {
    let timer = 0;
    let left = false;
    const more = async () => {
      try {
        const encoded = name.split("/").map(encodeURIComponent).join("/");
        const part = await ask(`${path}/logs/${encoded}`, { from: next.current });
        if (left) return;
        next.current = part.next;
        setError(null);
        if (part.text) setText((held) => (held + part.text).slice(-1_000_000));
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
  useEffect(() => {
    const element = frame.current;
    if (element.scrollHeight - element.scrollTop - element.clientHeight < 200 || !element.scrollTop) {
      element.scrollTop = element.scrollHeight;
    }
  }, [text]);
  return html`
    ${error ? html`<${Wrong} error=${error} />` : ""}
    <pre ref=${frame} class="log" tabindex="0" role="log" aria-label=${name}>${text.replace(ANSI, "")}</pre>
  `;
}

const ANSI = /\u001b\[[0-9;?]*[A-Za-z]/g;

function Files({ path }) {
  const { data } = useAnswer(`${path}/files`, {}).value;
  if (!data) return html`<p class="muted">Loading…</p>`;
  if (!data.files.length) return html`<${Empty} title="No files"><p>run.upload_file(…) keeps one.</p><//>`;
  const link = (name) =>
    address(`${path}/files/${name.split("/").map(encodeURIComponent).join("/")}`, { asof: asof.value });
  return html`
    <table class="plain">
      <thead>
        <tr><th scope="col">File</th><th scope="col" class="number">Size</th><th scope="col">SHA-256</th></tr>
      </thead>
      <tbody>
        ${data.files.map(
          (file) => html`
            <tr key=${file.name}>
              <td>
                ${file.uri ? html`<bdi>${file.name}</bdi>` : html`<a href=${link(file.name)} download><bdi>${file.name}</bdi></a>`}
                ${file.uri ? html` <span class="muted">at <bdi>${file.uri}</bdi></span>` : ""}
              </td>
              <td class="number">${bytes(file.nbytes)}</td>
              <td><code title=${file.sha256}>${file.sha256?.slice(0, 12)}</code></td>
            </tr>
          `,
        )}
      </tbody>
    </table>
  `;
}

function History({ path }) {
  const { data } = useAnswer(`${path}/history`, {}).value;
  if (!data) return html`<p class="muted">Loading…</p>`;
  return html`
    <table class="plain history">
      <thead>
        <tr>
          <th scope="col">When</th><th scope="col">Change</th><th scope="col">From → to</th>
          <th scope="col">Who</th><th scope="col" class="number">Position</th>
        </tr>
      </thead>
      <tbody>
        ${data.changes.map(
          (one) => html`
            <tr key=${one.position} class=${one.what.includes("refused") ? "refused" : ""}>
              <td title=${moment(one.time)}>${ago(one.time)}</td>
              <td>${one.what.replaceAll("_", " ")} <bdi>${one.key ?? ""}</bdi></td>
              <td>
                ${one.old === null ? "" : html`<span class="old"><bdi>${shown(one.old)}</bdi></span> → `}
                <bdi>${shown(one.new)}</bdi>
                ${one.reason ? html` <span class="muted">(${one.reason})</span>` : ""}
              </td>
              <td><bdi>${one.who}</bdi></td>
              <td class="number">
                <a href=${writeAt(one.position)} title="See the run at this moment">${one.position}</a>
              </td>
            </tr>
          `,
        )}
      </tbody>
    </table>
    ${data.total > data.changes.length ? html`<p class="muted">The last ${data.changes.length} of ${data.total}.</p>` : ""}
  `;
}

const writeAt = (position) =>
  to({ page: "run", run: view.value.run }).replace(/\?.*$/, "") + `?asof=${position}`;
