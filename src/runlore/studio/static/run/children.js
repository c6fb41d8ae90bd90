// The runs below a run as a tree, and what they add up to.

import { html, useState } from "../vendor/preact@11.2.0/preact.js";
import { useAnswer } from "../api.js";
import { number } from "../format.js";
import { Empty, Lasted, RunName, Status, Time } from "../parts.js";

/** @import { RunRows } from "answers" */

const RUNS_MAX = 1000;

/** @param {{path: string, id: string}} props */
export function Children({ path, id }) {
  const params = {
    parent: id,
    children: true,
    limit: RUNS_MAX,
    cols: ["status", "duration", "created", "parent"],
    sort: "created",
  };
  const { data } = useAnswer("runs", params).value;
  const [closed, close] = useState(/** @type {Set<string>} */ (new Set()));
  if (!data) return html`<p class="muted">Loading…</p>`;
  if (!data.ids.length) return html`<${Empty} title="No children"><p>run.child_run() starts one.</p><//>`;
  const rows = treeOf(data, id, closed);
  /** @param {string} child */
  const flip = (child) => {
    const next = new Set(closed);
    if (!next.delete(child)) next.add(child);
    close(next);
  };
  return html`
    <${RollUp} path=${path} id=${id} />
    <div class="scroll" tabindex="0" role="region" aria-label="Children">
    <table class="plain">
      <thead>
        <tr><th scope="col">Run</th><th scope="col">Status</th><th scope="col" class="number">Duration</th><th scope="col">Created</th></tr>
      </thead>
      <tbody>
        ${rows.map(
          ({ n, level, own }) => html`
            <tr key=${data.ids[n]}>
              <td style=${{ paddingLeft: `${Math.min(level, 12) * 16}px` }}>
                ${
                  own
                    ? html`<button
                      class="quiet twist"
                      aria-expanded=${String(!closed.has(data.ids[n]))}
                      aria-label=${`Children of ${data.names[n]}`}
                      onClick=${() => flip(data.ids[n])}
                    >${closed.has(data.ids[n]) ? "▸" : "▾"}</button>`
                    : html`<span class="twist"></span>`
                }
                <${RunName} id=${data.ids[n]} name=${data.names[n]} colour=${data.colours[n]} />
              </td>
              <td><${Status} of=${data.data[0][n]} /></td>
              <td class="number"><${Lasted} seconds=${data.data[1][n]} status=${data.data[0][n]} from=${data} /></td>
              <td><${Time} at=${data.data[2][n]} /></td>
            </tr>
          `,
        )}
      </tbody>
    </table>
    </div>
    ${data.total > data.ids.length ? html`<p class="muted">The first ${data.ids.length} of ${data.total}.</p>` : ""}
  `;
}

/**
 * The rows of a tree below a run, each parent before its children: their places, and how deep.
 * @param {RunRows} data @param {string} root @param {Set<string>} closed
 */
function treeOf(data, root, closed) {
  const below = Map.groupBy(
    data.ids.map((_, n) => n),
    (n) => data.data[3][n],
  );
  /** @type {{n: number, level: number, own: number}[]} */
  const rows = [];
  /** @param {string} parent @param {number} level */
  const add = (parent, level) => {
    for (const n of below.get(parent) ?? []) {
      const own = below.get(data.ids[n])?.length ?? 0;
      rows.push({ n, level, own });
      if (own && !closed.has(data.ids[n])) add(data.ids[n], level + 1);
    }
  };
  add(root, 0);
  return rows;
}

/** @param {{path: string, id: string}} props */
function RollUp({ path, id }) {
  const [metric, setMetric] = useState("");
  const [mode, setMode] = useState("min");
  const fields = useAnswer("columns", { limit: 200 }, { runs: [id] }).value.data?.fields ?? [];
  const names = fields.filter((field) => field.startsWith("metrics."));
  const { data } = useAnswer(`${path}/rollup`, { metric, mode }).value;
  if (!data) return "";
  const metrics = names.map((field) => field.replace(/^metrics\./, "").replace(/^`(.*)`$/, "$1"));
  return html`
    <div class="bar">
      <span>${data.runs} runs with this one:</span>
      ${Object.entries(data.statuses).map(([status, count]) => html`<span key=${status}><${Status} of=${status} /> ${count}</span>`)}
      ${data.lost ? html`<span class="muted">${data.lost} lost</span>` : ""}
      <label>
        best${" "}
        <select value=${mode} onChange=${(event) => setMode(event.currentTarget.value)}>
          <option value="min">least</option><option value="max">greatest</option>
        </select>
      </label>
      <select aria-label="Metric" value=${metric} onChange=${(event) => setMetric(event.currentTarget.value)}>
        <option value="">of a metric…</option>
        ${metrics.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
      </select>
      ${data.best ? html`<b title=${String(data.best.value)}>${number(data.best.value)}</b> <span>at step ${data.best.step} of</span> <${RunName} id=${data.best.run_id} name=${data.best.run_id.slice(0, 8)} colour=${0} />` : ""}
      ${metric && !data.best ? html`<span class="muted">none of them has a number of it</span>` : ""}
    </div>
  `;
}
