// Some runs beside each other: their curves, what differs between them, and other views of them.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { useAnswer } from "../api.js";
import { RunList, rowsAt } from "../compare/run-list.js";
import { isSampled } from "../format.js";
import { later } from "../later.js";
import { Empty } from "../parts.js";
import { copy, to, view, write } from "../view.js";

const NEWEST = 8;
const WAYS = {
  ...{ curves: "Curves", parameters: "Parameters", scatter: "Scatter", parallel: "Parallel" },
  ...{ bars: "Bars", images: "Images", tables: "Tables" },
};

const Charts = later(async () => (await import("../charts.js")).Charts);
const Bars = later(async () => (await import("../compare/bars.js")).Bars);
const Beside = later(async () => (await import("../compare/logged.js")).Beside);
const Differences = later(async () => (await import("../compare/differences.js")).Differences);
const Parallel = later(async () => (await import("../compare/parallel.js")).Parallel);
const Scatter = later(async () => (await import("../compare/scatter.js")).Scatter);

if ((view.value.show ?? "curves") === "curves") Charts.load(); // While the answers are under way.

export function Compare() {
  const ids = view.value.runs ?? copy?.runs ?? [];
  const fields = useAnswer("columns", { limit: 100 }, { runs: ids }).value.data?.fields ?? [];
  const config = fields.filter((field) => !field.startsWith("metrics."));
  const metrics = fields.filter((field) => field.startsWith("metrics."));
  const list = ids.map((id) => JSON.stringify(id)).join(", ");
  const params = {
    f: ids.length ? `id in (${list})` : undefined,
    children: ids.length > 0,
    limit: ids.length || NEWEST,
    cols: ["status", "duration", ...config.slice(0, 60), ...metrics.slice(0, 60)],
  };
  const { data: found } = useAnswer("runs", params, { skip: !fields.length }).value;
  if (found && !found.ids.length) {
    return html`
      <${Empty} title="No runs to compare">
        <p>Select runs in a <a href=${to({ page: "runs" })}>list</a> first.</p>
      <//>
    `;
  }
  if (!found) return html`<p class="muted">Loading…</p>`;
  const hidden = new Set(view.value.hide ?? []);
  const all = rowsAt(found, ids.length ? placesOf(ids, found.ids) : [...found.ids.keys()]);
  const data = rowsAt(all, [...all.ids.keys()].filter((n) => !hidden.has(all.ids[n])));
  const runs = new Map(
    data.ids.map((id, n) => [id, { name: data.names[n], colour: data.colours[n], status: data.statuses[n] }]),
  );
  const isLogged = (field) => data.data[data.columns.indexOf(field)]?.some((value) => value !== null);
  const names = metrics
    .filter(isLogged)
    .map((field) => field.replace(/^metrics\./, "").replace(/^`(.*)`$/, "$1"))
    .filter((name) => !isSampled(name));
  const way = Object.hasOwn(WAYS, view.value.show ?? "") ? view.value.show : "curves";
  return html`
    <h1>${ids.length ? "Compare" : `The ${all.ids.length} newest runs`}</h1>
    <div class="compare">
    <${RunList} data=${all} hidden=${hidden} />
    <div class="compared">
    <nav class="tabs" aria-label="Ways to compare">
      ${Object.entries(WAYS).map(
        ([key, name]) => html`
          <a
            key=${key}
            href=${write({ ...view.value, show: key === "curves" ? null : key, cols: null })}
            aria-current=${key === way ? "page" : undefined}
          >${name}</a>
        `,
      )}
    </nav>
    ${data.ids.length ? "" : html`<${Empty} title="All runs are hidden"><p>Tick one of the list.</p><//>`}
    ${data.ids.length && way === "curves" ? html`<${Charts} runs=${runs} asked=${copy ? all.ids : undefined} names=${names} fields=${config} />` : ""}
    ${way === "parameters" ? html`<${Differences} data=${data} />` : ""}
    ${way === "scatter" ? html`<${Scatter} data=${data} />` : ""}
    ${way === "parallel" ? html`<${Parallel} data=${data} />` : ""}
    ${way === "bars" ? html`<${Bars} data=${data} />` : ""}
    ${way === "images" || way === "tables" ? html`<${Beside} key=${way} data=${data} kind=${way} />` : ""}
    </div>
    </div>
  `;
}

/** Where the runs that are there stand, in the order of the address. */
function placesOf(ids, there) {
  const places = new Map(there.map((id, n) => [id, n]));
  return ids.filter((id) => places.has(id)).map((id) => places.get(id));
}
