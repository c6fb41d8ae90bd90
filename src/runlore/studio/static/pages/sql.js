// SQL over the workspace's views: a query, its table, and a simple chart.

import { html, signal, useEffect, useMemo, useRef, useState } from "../vendor/preact@11.2.0/preact.js";
import { asError, send } from "../api.js";
import { Figure } from "../figure.js";
import { moment } from "../format.js";
import { Grid } from "../grid.js";
import { ROW } from "../grid-focus.js";
import { later } from "../later.js";
import { Wrong } from "../parts.js";
import { change, to, view } from "../view.js";

/** @import { SqlResult, Value } from "answers" */
/** @import { Pages, Row } from "../row-pages.js" */
/**
 * @typedef {{answer: SqlResult | null, error: Error | null, running: string | null}} State `running` is the id of the
 *   query that executes
 */

const SimpleChart = later(async () => (await import("../simple-chart.js")).SimpleChart);
const ROWS_MAX = 10_000;
const GRID_MAX = 480;
/** @type {Record<string, string | undefined>} */
const EXAMPLES = {
  "Runs by status":
    "SELECT experiment, status, count(*) AS runs\nFROM runs\nGROUP BY ALL\nORDER BY experiment, runs DESC",
  "Best by a metric":
    "SELECT run_id, experiment, metric, last, min, max\nFROM runs JOIN metrics USING (run_id)\nORDER BY min\nLIMIT 50",
  "Runs a day": "SELECT date_trunc('day', created_at) AS day, count(*) AS runs\nFROM runs\nGROUP BY day\nORDER BY day",
  "All views": "SHOW TABLES",
};

export function Sql() {
  const { sql, asof } = view.value;
  const [text, setText] = useState(sql ?? "");
  const [state, setState] = useState(/** @type {State} */ ({ answer: null, error: null, running: null }));
  const last = useRef(/** @type {string | null} */ (null));
  useEffect(() => setText(sql ?? ""), [sql]);

  /** @param {string} query */
  const run = async (query) => {
    if (!query.trim()) return;
    if (last.current) stop(last.current);
    const id = crypto.randomUUID();
    last.current = id;
    setState((held) => ({ ...held, running: id }));
    /** @param {Partial<State>} now */
    const told = (now) => last.current === id && setState({ answer: null, error: null, running: null, ...now });
    try {
      told({
        answer: await send("POST", asof === undefined ? "sql" : `sql?asof=${asof}`, { query, limit: ROWS_MAX, id }),
      });
    } catch (error) {
      told({ error: asError(error) });
    }
  };
  // The address says what is asked: so Back, links and saved views ask, too.
  useEffect(() => {
    if (sql) run(sql);
    return () => last.current && stop(last.current);
  }, [sql, asof]);

  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    if (text === (sql ?? "")) run(text);
    else change({ sql: text, x: null, y: null });
  };
  const { answer, error, running } = state;
  return html`
    <h1>SQL</h1>
    <form onSubmit=${submit}>
      <label class="hidden" for="query">Query</label>
      <textarea
        id="query"
        class="query"
        rows="8"
        spellcheck=${false}
        placeholder="SELECT … FROM runs"
        value=${text}
        onInput=${(event) => setText(event.currentTarget.value)}
        onKeyDown=${(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && submit(event)}
      ></textarea>
      <div class="bar">
        <button type="submit" class="primary" title="Ctrl + Enter">Run</button>
        ${running ? html`<button type="button" onClick=${() => stop(running)}>Stop</button>` : ""}
        <label>
          <span class="hidden">Example</span>
          <select
            value=""
            onChange=${(event) => {
              setText(EXAMPLES[event.currentTarget.value] ?? text);
              event.currentTarget.value = "";
            }}
          >
            <option value="">Examples…</option>
            ${Object.keys(EXAMPLES).map((name) => html`<option value=${name}>${name}</option>`)}
          </select>
        </label>
        <span class="muted" role="status">${running ? "Running…" : answer ? said(answer) : ""}</span>
      </div>
    </form>
    ${error ? html`<${Wrong} error=${error} />` : ""}
    ${answer ? html`<${Result} answer=${answer} />` : ""}
    ${
      !answer && !error && !running
        ? html`<p class="muted">
          One SELECT over <code>runs</code>, <code>tags</code>, <code>metrics</code>, <code>metric_points</code> and more:
          <code>SHOW TABLES</code> lists them. Thirty seconds and 10,000 rows at most. <b>Save view</b> keeps a query under a name.
        </p>`
        : ""
    }
  `;
}

/** @param {string} id */
const stop = (id) => send("DELETE", `sql/${encodeURIComponent(id)}`).catch(() => undefined); // It had ended.

/** @param {SqlResult} answer */
function said({ total, truncated, data, ms }) {
  const shown = truncated ? `the first ${data[0].length.toLocaleString("en-US")} of ` : "";
  return `${shown}${total.toLocaleString("en-US")} ${total === 1 ? "row" : "rows"} in ${ms} ms`;
}

/** @param {{answer: SqlResult}} props */
function Result({ answer }) {
  const { x, y } = view.value;
  const numbers = answer.columns.filter((_, n) => answer.kinds[n] === "number");
  /** @param {string} name */
  const column = (name) => {
    const n = answer.columns.indexOf(name);
    return { name, kind: answer.kinds[n], values: answer.data[n] };
  };
  const ys = (y ?? "").split("\n").filter((name) => numbers.includes(name));
  const xs = answer.columns.filter((name) => !ys.includes(name));
  const at = answer.columns.find((name) => name === x) ?? xs[0];
  const chart = useMemo(() => (at && ys.length ? { x: column(at), ys: ys.map(column) } : null), [answer, at, y]);
  return html`
    ${
      numbers.length && answer.total
        ? html`
          <div class="bar">
            <label><span class="muted">Chart</span>${" "}
              <select aria-label="Values of the chart" value=${ys[0] ?? ""} onChange=${(event) => change({ y: event.currentTarget.value || null })}>
                <option value="">none</option>
                ${numbers.map((name) => html`<option value=${name}>${name}</option>`)}
              </select>
            </label>
            ${
              ys.length
                ? html`
                  <label><span class="muted">by</span>${" "}
                    <select aria-label="Axis of the chart" value=${at} onChange=${(event) => change({ x: event.currentTarget.value })}>
                      ${xs.map((name) => html`<option value=${name}>${name}</option>`)}
                    </select>
                  </label>
                  <label><span class="muted">and</span>${" "}
                    <select
                      aria-label="Further values"
                      value=""
                      onChange=${(event) => event.currentTarget.value && change({ y: [...ys, event.currentTarget.value].join("\n") })}
                    >
                      <option value="">…</option>
                      ${numbers.filter((name) => !ys.includes(name) && name !== at).map((name) => html`<option value=${name}>${name}</option>`)}
                    </select>
                  </label>
                `
                : ""
            }
          </div>
        `
        : ""
    }
    ${chart ? html`<${SimpleChart} x=${chart.x} ys=${chart.ys} />` : ""}
    <div class="sql-result" style=${{ height: `${Math.min(GRID_MAX, ROW * (2 + (answer.data[0]?.length ?? 0)))}px` }}>
      <${ResultGrid} answer=${answer} />
    </div>
  `;
}

/** The rows of a result as a grid asks for them: all are there already. @param {{answer: SqlResult}} props */
function ResultGrid({ answer }) {
  const pages = useMemo(() => {
    const rows = answer.data[0]?.length ?? 0;
    const held = { ...answer, ids: Array.from({ length: rows }, (_, n) => String(n)) };
    /** @type {Pages<typeof held>} */
    const found = {
      state: signal({ total: rows, turn: 0, error: null }),
      need: () => undefined,
      row: (index) => (index < rows ? { answer: held, place: index } : null),
    };
    return found;
  }, [answer]);
  const columns = answer.columns.map((name, n) => ({
    key: `${n}`,
    width: answer.kinds[n] === "number" ? 110 : name === "run_id" ? 280 : 200,
    number: answer.kinds[n] === "number",
    /** @param {Row<any>} row */
    figure: ({ place }) => answer.data[n][place],
    title: html`<span class="head" title=${name}><bdi>${name}</bdi></span>`,
    /** @param {Row<any>} row */
    cell: ({ place }) => value(name, answer.kinds[n], answer.data[n][place]),
  }));
  return html`<${Grid} pages=${pages} columns=${columns} label="Result" />`;
}

/** @param {string} name @param {string} kind @param {Value} one */
function value(name, kind, one) {
  if (one === null) return html`<span class="muted">null</span>`;
  if (typeof one === "number") return html`<${Figure} value=${one} />`;
  if (kind === "time") return html`<time title=${one}>${moment(String(one))}</time>`;
  const text = typeof one === "string" ? one : JSON.stringify(one);
  if (name === "run_id") return html`<a href=${to({ page: "run", run: text })}><bdi>${text}</bdi></a>`;
  return html`<bdi title=${text}>${text}</bdi>`;
}
