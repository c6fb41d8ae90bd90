// Some runs beside each other: their curves, what differs between them, and other views of them.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { useAnswer } from "../api.js";
import { RunList, rowsAt } from "../compare/run-list.js";
import { isSampled, runsOf } from "../format.js";
import { later } from "../later.js";
import { Empty, Wrong } from "../parts.js";
import { idIn } from "../run-numbers.js";
import { copy, isInAddress, to, view, write } from "../view.js";

const NEWEST = 8;
const RUNS_MAX = 1000;
/** @type {Record<string, string>} */
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
  const { f, q, tree } = view.value;
  const isAsked = !ids.length && Boolean(f || q);
  const params = {
    f: ids.length ? idIn(ids) : f,
    q: ids.length ? undefined : q,
    children: ids.length > 0 || Boolean(isAsked && tree),
    limit: ids.length || (isAsked ? RUNS_MAX : NEWEST),
    cols: ["status", "duration", ...config.slice(0, 60), ...metrics.slice(0, 60)],
  };
  const { data: found, error } = useAnswer("runs", params, { skip: !fields.length }).value;
  if (error && !found) return html`<${Wrong} error=${error} />`;
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
  const data = rowsAt(
    all,
    [...all.ids.keys()].filter((n) => !hidden.has(all.ids[n])),
  );
  const runs = new Map(
    data.ids.map((id, n) => [id, { name: data.names[n], colour: data.colours[n], status: data.statuses[n] }]),
  );
  /** @param {string} field */
  const isLogged = (field) => data.data[data.columns.indexOf(field)]?.some((value) => value !== null);
  const names = metrics
    .filter(isLogged)
    .map((field) => field.replace(/^metrics\./, "").replace(/^`(.*)`$/, "$1"))
    .filter((name) => !isSampled(name));
  const way = Object.hasOwn(WAYS, view.value.show ?? "") ? view.value.show : "curves";
  return html`
    <div class="bar">
      <h1>${ids.length || isAsked ? "Compare" : `The ${all.ids.length} newest runs`}</h1>
      ${isAsked ? html`<${Asked} total=${found.total} shown=${all.ids.length} />` : ""}
      ${isInAddress.value ? "" : html`<span class="muted">Too many runs for a link: they are kept in this tab only.</span>`}
    </div>
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

/** The question whose runs are compared, and how many these are. @param {{total: number, shown: number}} props */
function Asked({ total, shown }) {
  const { f, q, tree } = view.value;
  return html`
    <a href=${to({ page: "runs", f, q, tree })}>${runsOf(total)} that match</a>
    ${total > shown ? html`<span class="muted">the first ${shown.toLocaleString("en-US")} are compared</span>` : ""}
  `;
}

/** Where the runs that are there stand, in the order of the address. @param {string[]} ids @param {string[]} there */
function placesOf(ids, there) {
  const places = new Map(there.map((id, n) => [id, n]));
  return ids.map((id) => places.get(id)).filter((place) => place !== undefined);
}
