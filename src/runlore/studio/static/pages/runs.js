// The runs of an experiment, or of all: a table with columns, a filter, groups and a tree.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { address, ask, useAnswer } from "../api.js";
import { ColumnPicker } from "../column-picker.js";
import { FilterLine, SearchBox } from "../filter-bar.js";
import { Grid, usePages } from "../grid.js";
import { GroupBy, GroupGrid } from "../groups.js";
import { Empty, Wrong } from "../parts.js";
import { firstColumns, gridColumns, parseColumn } from "../run-columns.js";
import { select, selected, Selection, toggle } from "../selection.js";
import { asof, change, go, to, view } from "../view.js";

export { selected };

export function Runs() {
  const { experiment, q, f, sort, tree, group } = view.value;
  const fields = useAnswer("columns", { experiment, limit: 100 }, { runs: [] }).value.data?.fields;
  const columns = view.value.cols ?? firstColumns(fields);
  const question = { experiment, q, f, tree };
  return html`
    <div class="runs-page">
      <div class="bar">
        <h1>${experiment ? html`<bdi>${experiment}</bdi>` : "All runs"}</h1>
        <${Count} question=${question} />
        <span class="grow"></span>
        <${SearchBox} />
        <${GroupBy} fields=${fields} />
        <label class="check">
          <input type="checkbox" checked=${Boolean(tree)} onChange=${() => change({ tree: !tree, group: null, agg: null })} />
          children
        </label>
        <${ColumnPicker} columns=${columns} experiment=${experiment} />
        <a class="button" href=${csv(question, columns)} download title="The table as a file">CSV</a>
      </div>
      ${fields || view.value.cols ? html`<${Table} question=${{ ...question, sort }} columns=${columns} />` : ""}
    </div>
  `;
}

/** The address of the shown table as a file. */
function csv(question, columns) {
  const { group, agg, sort } = view.value;
  const cols = columns.map((text) => parseColumn(text).field);
  return group
    ? address("groups.csv", { ...question, group, agg, cols: cols.filter((field) => field !== group), asof: asof.value })
    : address("runs.csv", { ...question, sort, cols, asof: asof.value });
}

function Count({ question }) {
  const total = useAnswer("runs", { ...question, limit: 1, cols: ["status"] }).value.data?.total;
  return html`<span class="muted" role="status">
    ${total === undefined ? "" : `${total.toLocaleString("en-US")} ${total === 1 ? "run" : "runs"}`}
  </span>`;
}

function Table({ question, columns }) {
  const { group, pin } = view.value;
  const cols = columns.map((text) => parseColumn(text).field);
  const pages = usePages(
    (offset, limit, signal) => ask("runs", { ...question, cols, offset, limit }, signal),
    JSON.stringify([question, cols, asof.value]),
  );
  const { total, error } = pages.state.value;
  const pinned = useAnswer("runs", { f: idIs(pin), children: true, cols, limit: 1 }, { skip: !pin, runs: [pin] }).value;
  const baseline = pin && pinned.data?.ids.length ? rowOf(pinned.data) : null;
  return html`
    <${FilterLine} error=${error} />
    <${Selection} />
    ${error && error.title !== "FilterError" ? html`<${Wrong} error=${error} />` : ""}
    ${group
      ? html`<${GroupGrid} question=${question} columns=${columns} />`
      : total === 0
        ? html`<${NoRuns} question=${question} />`
        : html`
            <${Grid}
              pages=${pages}
              label="Runs"
              columns=${gridColumns(columns, { baseline })}
              pinned=${baseline && { answer: pinned.data, place: 0 }}
              onOpen=${(id) => go({ page: "run", run: id, asof: asof.value })}
              onSelect=${toggle}
              onSelectMany=${select}
              isSelected=${(id) => selected.value.has(id)}
            />
          `}
  `;
}

const idIs = (id) => `id = ${JSON.stringify(id ?? "")}`;

const rowOf = (answer) => ({ id: answer.ids[0], values: answer.data.map((values) => values[0]) });

/** Nothing is in the list: what to do about it. */
function NoRuns({ question }) {
  const { q, f } = question;
  if (q || f) {
    return html`
      <${Empty} title="No run matches">
        <p>
          ${f ? html`<button onClick=${() => change({ f: null })}>Without the filter</button>` : ""}${" "}
          ${q ? html`<button onClick=${() => change({ q: null })}>Without the search</button>` : ""}
        </p>
        ${question.tree ? "" : html`<p>Perhaps it is a child of another run: tick <b>children</b> to look below runs, too.</p>`}
      <//>
    `;
  }
  if (asof.value !== null) {
    return html`
      <${Empty} title="There was no run at that time">
        <p><button onClick=${() => change({ asof: null })}>Back to now</button></p>
      <//>
    `;
  }
  return html`
    <${Empty} title="No run yet">
      <p>It appears here when a script starts one, or <a href=${to({ page: "new" })}>submit one</a>.</p>
    <//>
  `;
}
