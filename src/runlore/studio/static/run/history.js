// Every change of a run: who, what, when; refused ones, and the checkpoints that seal them.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { address, useAnswer } from "../api.js";
import { Time } from "../parts.js";
import { asof, change, copy, view, write } from "../view.js";
import { shown } from "./details.js";

/** @import * as answers from "answers" */

/** @param {{path: string, id: string}} props */
export function History({ path, id }) {
  const { what, who } = view.value;
  const { data } = useAnswer(`${path}/history`, { what, who }, { runs: [id] }).value;
  if (!data) return html`<p class="muted">Loading…</p>`;
  return html`
    <div class="bar">
      ${
        copy
          ? ""
          : html`<${Choice} name="what" value=${what} all="all kinds" counts=${data.kinds} />
      <${Choice} name="who" value=${who} all="everybody" counts=${data.actors} />`
      }
      <span role="status" class="muted">${data.total} changes</span>
      <span class="grow"></span>
      ${
        asof.value === null && !copy
          ? html`<a class="button" href=${address(`${path}/bundle`)} download="run.bundle" title="Its events with their hashes; runlore audit verify-bundle checks them">Proof</a>`
          : ""
      }
    </div>
    <div class="scroll" tabindex="0" role="region" aria-label="History">
      <table class="plain history">
        <thead>
          <tr>
            <th scope="col">When</th><th scope="col">Change</th><th scope="col">From → to</th>
            <th scope="col">Who</th><th scope="col" class="number">Position</th>
          </tr>
        </thead>
        <tbody>
          ${withSeals(data).map(({ change, seal, key }) => (change ? html`<${Change} key=${key} one=${change} id=${id} />` : html`<${Seal} key=${key} size=${seal} />`))}
        </tbody>
      </table>
    </div>
    ${data.total > data.changes.length ? html`<p class="muted">The last ${data.changes.length} of ${data.total}.</p>` : ""}
  `;
}

/**
 * The changes, and after those that a checkpoint covers its seal.
 * @param {{changes: answers.Change[], seals: number[]}} history
 */
function withSeals({ changes, seals }) {
  const left = [...seals].sort((a, b) => a - b);
  const rows = changes.flatMap((change, n) => {
    const next = left.findIndex((seal) => seal >= change.position);
    const before = left.splice(0, next < 0 ? left.length : next);
    return [...before.map(sealed), { change, seal: null, key: `${change.position} ${n}` }];
  });
  return [...rows, ...left.map(sealed)];
}

/** @param {number} seal */
const sealed = (seal) => ({ change: null, seal, key: `seal ${seal}` });

/** @param {{size: number}} props */
const Seal = ({ size }) => html`
  <tr class="seal"><td colspan="5"><span aria-hidden="true">⛊</span> checkpoint: the first ${size} events of the log are sealed</td></tr>
`;

/** @param {{one: answers.Change, id: string}} props */
const Change = ({ one, id }) => html`
  <tr class=${one.what === "change_refused" ? "refused" : ""}>
    <td><${Time} at=${one.time} /></td>
    <td class="wrap">${one.what === "change_refused" ? "✕ " : ""}${one.what.replaceAll("_", " ")} <bdi>${one.key ?? ""}</bdi></td>
    <td class="wrap">
      ${one.old === null ? "" : html`<span class="old"><bdi>${shown(one.old)}</bdi></span> → `}
      <bdi>${shown(one.new)}</bdi>
      ${one.reason ? html` <span class="muted">(<bdi>${one.reason}</bdi>)</span>` : ""}
    </td>
    <td title=${one.who}><bdi>${one.who}</bdi></td>
    <td class="number">
      ${
        copy
          ? one.position
          : html`<a href=${write({ page: "run", run: id, asof: one.position })} title="See the run at this moment">${one.position}</a>`
      }
    </td>
  </tr>
`;

/** @param {{name: "what" | "who", value?: string, all: string, counts: Record<string, number>}} props */
const Choice = ({ name, value, all, counts }) => html`
  <select aria-label=${name} value=${value ?? ""} onChange=${(event) => change({ [name]: event.currentTarget.value || null })}>
    <option value="">${all}</option>
    ${Object.entries(counts).map(
      ([key, count]) =>
        html`<option key=${key} value=${key} selected=${key === value}>${key.replaceAll("_", " ")} (${count})</option>`,
    )}
  </select>
`;
