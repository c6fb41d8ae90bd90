// Some runs beside each other: their curves, and what differs between them.

import { html, useState } from "../vendor/preact@11.2.0/preact.js";
import { useAnswer } from "../api.js";
import { Chart } from "../chart.js";
import { number } from "../format.js";
import { Empty, RunName, Section } from "../parts.js";
import { change, to, view } from "../view.js";

const NEWEST = 8;
const CHARTS_AT_ONCE = 12;
const AXES = { step: "step", since: "time since start", time: "time" };

export function Compare() {
  const ids = view.value.runs ?? [];
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
  const { data } = useAnswer("runs", params, { skip: !fields.length }).value;
  if (data && !data.ids.length) {
    return html`
      <${Empty} title="No runs to compare">
        <p>Select runs in a <a href=${to({ page: "runs" })}>list</a> first.</p>
      <//>
    `;
  }
  if (!data) return html`<p class="muted">Loading…</p>`;
  const runs = new Map(
    data.ids.map((id, n) => [id, { name: data.names[n], colour: data.colours[n] }]),
  );
  const isLogged = (field) => data.data[data.columns.indexOf(field)]?.some((value) => value !== null);
  const names = metrics
    .filter(isLogged)
    .map((field) => field.replace(/^metrics\./, "").replace(/^`(.*)`$/, "$1"));
  return html`
    <h1>${ids.length ? "Compare" : `The ${data.ids.length} newest runs`}</h1>
    <ul class="legend">
      ${data.ids.map(
        (id, n) => html`<li key=${id}><${RunName} id=${id} name=${data.names[n]} colour=${data.colours[n]} /></li>`,
      )}
    </ul>
    <${Charts} runs=${runs} names=${names.filter((name) => !name.startsWith("system/"))} />
    <${Differences} data=${data} />
  `;
}

/** Charts of metrics, grouped by the part before the slash, with one toolbar. */
export function Charts({ runs, names }) {
  const [zoom, setZoom] = useState(null);
  const [shown, show] = useState(CHARTS_AT_ONCE);
  const { x = "step", log } = view.value;
  const groups = grouped(names.slice(0, shown));
  return html`
    <div class="bar">
      <label>
        x
        <select value=${x} onChange=${(event) => (setZoom(null), change({ x: event.currentTarget.value }))}>
          ${Object.entries(AXES).map(([key, name]) => html`<option value=${key}>${name}</option>`)}
        </select>
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked=${log === "1"}
          onChange=${() => change({ log: log === "1" ? null : "1" })}
        />
        log y
      </label>
      <span class="muted">Drag in a chart to zoom, double-click for the whole axis.</span>
    </div>
    ${[...groups].map(
      ([group, own]) => html`
        <${Section} key=${group} title=${group || "metrics"} count=${own.length}>
          <div class="charts">
            ${own.map(
              (metric) => html`
                <${Chart}
                  key=${metric}
                  metric=${metric}
                  runs=${runs}
                  x=${x}
                  log=${log === "1"}
                  zoom=${zoom}
                  onZoom=${setZoom}
                />
              `,
            )}
          </div>
        <//>
      `,
    )}
    ${names.length > shown
      ? html`<button onClick=${() => show(shown + CHARTS_AT_ONCE)}>Show more of ${names.length} metrics</button>`
      : ""}
  `;
}

/** Names by the part before the slash; those that are alone with theirs stand together. */
function grouped(names) {
  const groups = Map.groupBy(names, (name) => (name.includes("/") ? name.split("/")[0] : ""));
  const alone = [...groups].filter(([group, own]) => !group || own.length === 1).flatMap(([, own]) => own);
  const together = [...groups].filter(([group, own]) => group && own.length > 1);
  return new Map([...(alone.length ? [["", alone]] : []), ...together]);
}

/** The fields in which the runs differ, or all. */
function Differences({ data }) {
  const [all, showAll] = useState(false);
  const rows = data.columns
    .map((field, index) => ({ field, values: data.data[index] }))
    .filter(({ values }) => values.some((value) => value !== null))
    .filter(({ values }) => all || new Set(values.map((value) => JSON.stringify(value))).size > 1);
  return html`
    <${Section} title=${all ? "All fields" : "Differences"} count=${rows.length}>
      <label class="check"><input type="checkbox" checked=${all} onChange=${() => showAll(!all)} /> show all</label>
      <div class="scroll" tabindex="0" role="region" aria-label="Fields of the runs">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Field</th>
              ${data.ids.map(
                (id, n) => html`
                  <th scope="col" key=${id}>
                    <${RunName} id=${id} name=${data.names[n]} colour=${data.colours[n]} />
                  </th>
                `,
              )}
            </tr>
          </thead>
          <tbody>
            ${rows.map(
              ({ field, values }) => html`
                <tr key=${field}>
                  <th scope="row"><bdi>${field}</bdi></th>
                  ${values.map(
                    (value) => html`
                      <td class=${typeof value === "number" ? "number" : ""} title=${value === null ? "" : String(value)}>
                        <bdi>${value === null ? "–" : number(value)}</bdi>
                      </td>
                    `,
                  )}
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
    <//>
  `;
}
