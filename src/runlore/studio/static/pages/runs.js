// The runs of an experiment, or of all: a table with columns, a filter and a search.

import { html, signal, useEffect, useMemo, useState } from "../vendor/preact@11.2.0/preact.js";
import { ask, useAnswer } from "../api.js";
import { ago, duration, moment, namespace, number, shortName } from "../format.js";
import { Grid, usePages } from "../grid.js";
import { Empty, RunName, Status, Wrong } from "../parts.js";
import { asof, change, go, to, view } from "../view.js";

const DEFAULT_COLUMNS = ["status", "duration", "created", "user"];
const METRICS_AT_FIRST = 4;
const WIDTHS = { status: 130, duration: 100, created: 120, started: 120, ended: 120, experiment: 160 };

/** The ids of the selected runs with their names and colours. */
export const selected = signal(new Map());

export function Runs() {
  const { experiment, q, f, sort, tree } = view.value;
  const fields = useAnswer("columns", { experiment, limit: 100 }, { runs: [] }).value.data?.fields;
  const columns = view.value.cols ?? firstColumns(fields);
  const question = { experiment, q, f, sort, children: tree, cols: columns };
  const key = JSON.stringify([question, asof.value, fields === undefined && !view.value.cols]);
  const pages = usePages(
    (offset, limit, signal) => ask("runs", { ...question, offset, limit }, signal),
    key,
  );
  const { total, error } = pages.state.value;
  return html`
    <div class="runs-page">
      <div class="bar">
        <h1>${experiment ? html`<bdi>${experiment}</bdi>` : "All runs"}</h1>
        <span class="muted" role="status">${total === null ? "" : `${total.toLocaleString("en-US")} runs`}</span>
        <span class="grow"></span>
        <${SearchBox} />
        <${ColumnPicker} fields=${fields ?? []} columns=${columns} />
        <label class="check">
          <input type="checkbox" checked=${Boolean(tree)} onChange=${() => change({ tree: !tree })} /> children
        </label>
        <${Selection} />
      </div>
      <${FilterLine} error=${error} />
      ${error && error.title !== "FilterError" ? html`<${Wrong} error=${error} />` : ""}
      ${total === 0
        ? html`<${NoRuns} filtered=${Boolean(q || f)} />`
        : html`<${Grid}
            pages=${pages}
            label="Runs"
            columns=${gridColumns(columns, sort)}
            onOpen=${(id) => go({ page: "run", run: id, asof: asof.value })}
            onSelect=${(id) => toggle(pages, id)}
            isSelected=${(id) => selected.value.has(id)}
          />`}
    </div>
  `;
}

function firstColumns(fields) {
  const metrics = (fields ?? []).filter((field) => namespace(field) === "metrics");
  const config = (fields ?? []).filter((field) => namespace(field) === "config");
  return [
    ...DEFAULT_COLUMNS,
    ...config.slice(0, METRICS_AT_FIRST),
    ...metrics.filter((field) => !field.startsWith("metrics.system/")).slice(0, METRICS_AT_FIRST),
  ];
}

function toggle(pages, id) {
  const next = new Map(selected.value);
  if (next.has(id)) next.delete(id);
  else next.set(id, true);
  selected.value = next;
}

function gridColumns(columns, sort) {
  const name = {
    key: "name",
    width: 280,
    title: html`<${SortButton} field="name" sort=${sort} />`,
    cell: ({ answer, place }) => html`
      <input
        type="checkbox"
        aria-label=${`Select ${answer.names[place]}`}
        checked=${selected.value.has(answer.ids[place])}
        onChange=${() => toggle(null, answer.ids[place])}
      />
      <${RunName} id=${answer.ids[place]} name=${answer.names[place]} colour=${answer.colours[place]} />
    `,
  };
  return [name, ...columns.map((field, index) => gridColumn(field, index, sort))];
}

function gridColumn(field, index, sort) {
  const kind = namespace(field);
  return {
    key: field,
    width: WIDTHS[field] ?? 120,
    number: kind === "metrics" || field === "duration",
    sorted: sort === field ? "ascending" : sort === `-${field}` ? "descending" : undefined,
    title: html`<${SortButton} field=${field} sort=${sort} />`,
    cell: ({ answer, place }) => cell(field, answer.data[index]?.[place]),
  };
}

function cell(field, value) {
  if (value === null || value === undefined) return html`<span class="muted">–</span>`;
  if (field === "status") return html`<${Status} of=${value} />`;
  if (field === "duration") return html`<span title=${`${value} s`}>${duration(value)}</span>`;
  if (["created", "started", "ended"].includes(field)) {
    return html`<time dateTime=${value} title=${moment(value)}>${ago(value)}</time>`;
  }
  if (typeof value === "number") return html`<span title=${String(value)}>${number(value)}</span>`;
  return html`<bdi title=${String(value)}>${String(value)}</bdi>`;
}

function SortButton({ field, sort }) {
  const down = sort === `-${field}`;
  const up = sort === field;
  const next = down ? field : up ? null : `-${field}`;
  return html`
    <button class="sort" onClick=${() => change({ sort: next })} title=${field}>
      <span class="muted">${namespace(field) === "run" ? "" : `${namespace(field)[0]}.`}</span
      ><bdi>${shortName(field)}</bdi> ${up ? "↑" : down ? "↓" : ""}
    </button>
  `;
}

function SearchBox() {
  const { q } = view.value;
  const [text, setText] = useState(q ?? "");
  useEffect(() => setText(q ?? ""), [q]);
  useEffect(() => {
    const timer = setTimeout(() => text !== (q ?? "") && change({ q: text }, { replace: true }), 200);
    return () => clearTimeout(timer);
  }, [text]);
  return html`
    <input
      id="search"
      type="search"
      placeholder="Search  /"
      aria-label="Search names, descriptions, experiments and users"
      value=${text}
      onInput=${(event) => setText(event.currentTarget.value)}
    />
  `;
}

function FilterLine({ error }) {
  const { f } = view.value;
  const [text, setText] = useState(f ?? "");
  useEffect(() => setText(f ?? ""), [f]);
  const wrong = error?.title === "FilterError" ? error : null;
  return html`
    <form
      class="filter"
      onSubmit=${(event) => {
        event.preventDefault();
        change({ f: text });
      }}
    >
      <input
        id="filter"
        spellcheck=${false}
        autocomplete="off"
        placeholder="Filter  f    status = Completed and metrics.loss < 0.3 and tags.model = resnet"
        aria-label="Filter"
        aria-invalid=${wrong ? "true" : undefined}
        value=${text}
        onInput=${(event) => setText(event.currentTarget.value)}
      />
      ${f ? html`<button type="button" class="quiet" onClick=${() => change({ f: null })}>Clear</button>` : ""}
      ${wrong ? html`<p class="wrong" role="alert">${wrong.message}</p>` : ""}
    </form>
  `;
}

function ColumnPicker({ fields, columns }) {
  const [part, setPart] = useState("");
  const known = useMemo(
    () => [...DEFAULT_COLUMNS, "experiment", "started", "ended", "number", "host", "target", ...fields],
    [fields],
  );
  const shown = known.filter((field) => field.toLowerCase().includes(part.toLowerCase())).slice(0, 200);
  const flip = (field) =>
    change({ cols: columns.includes(field) ? columns.filter((one) => one !== field) : [...columns, field] });
  return html`
    <details class="picker">
      <summary>Columns</summary>
      <div class="popup">
        <input aria-label="Find a column" value=${part} onInput=${(event) => setPart(event.currentTarget.value)} />
        <ul>
          ${shown.map(
            (field) => html`
              <li key=${field}>
                <label class="check">
                  <input type="checkbox" checked=${columns.includes(field)} onChange=${() => flip(field)} />
                  <bdi>${field}</bdi>
                </label>
              </li>
            `,
          )}
        </ul>
        <button class="quiet" onClick=${() => change({ cols: null })}>As at first</button>
      </div>
    </details>
  `;
}

function Selection() {
  const ids = [...selected.value.keys()];
  if (!ids.length) return "";
  return html`
    <a class="button" href=${to({ page: "compare", runs: ids })}>Compare ${ids.length}</a>
    <button class="quiet" onClick=${() => (selected.value = new Map())}>None</button>
  `;
}

function NoRuns({ filtered }) {
  return filtered
    ? html`
        <${Empty} title="No run matches">
          <button onClick=${() => change({ q: null, f: null })}>Show all runs</button>
        <//>
      `
    : html`
        <${Empty} title="No run yet">
          <p>${asof.value === null ? "It appears here when a script starts one." : "There was none at that time."}</p>
        <//>
      `;
}
