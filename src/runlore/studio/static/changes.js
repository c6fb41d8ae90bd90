// The table of what changed since the moment that is shown.

import { html, useState } from "./vendor/preact@11.2.0/preact.js";
import { useAnswer } from "./api.js";
import { number, short } from "./format.js";
import { RunName, Time, Wrong } from "./parts.js";

/** @import { NetChange, Value } from "answers" */

const SHOWN = 200;
const LONG = 60; // Of longer values the rest is in a title.

/** The net changes from a position to now, the last ones first. @param {{from: number, run?: string}} props */
export function Changes({ from, run }) {
  const [sampled, showSampled] = useState(false);
  const { data, error } = useAnswer("diff", { from, run, sampled }, { runs: run ? [run] : null }).value;
  if (error) return html`<${Wrong} error=${error} />`;
  if (!data) return html`<p class="muted">Loading…</p>`;
  const last = data.changes.slice(-SHOWN).reverse();
  return html`
    ${
      last.length
        ? html`
          <div class="scroll since" tabindex="0" role="region" aria-label="What changed since">
            <table class="plain">
              <thead>
                <tr><th scope="col">When</th><th scope="col">Run or experiment</th><th scope="col">Change</th><th scope="col">From → to</th><th scope="col">Who</th></tr>
              </thead>
              <tbody>${last.map((one, n) => html`<${Row} key=${n} one=${one} runs=${data.runs} />`)}</tbody>
            </table>
          </div>
        `
        : html`<p>Nothing has changed${run ? " in this run" : ""}${data.left_out ? " but samples of the machine" : ""}.</p>`
    }
    ${data.total > last.length ? html`<p>The last ${last.length} of ${data.total} changes.</p>` : ""}
    ${
      data.left_out || sampled
        ? html`
          <label class="check">
            <input type="checkbox" checked=${sampled} onChange=${() => showSampled(!sampled)} />${" "}
            samples of the machine${sampled ? "" : ` (${data.left_out})`}
          </label>
        `
        : ""
    }
  `;
}

/** @param {{one: NetChange, runs: Record<string, {name: string, colour: number}>}} props */
function Row({ one, runs }) {
  const { run_id: id, key } = one;
  const run = id ? runs[id] : undefined;
  return html`
    <tr>
      <td><${Time} at=${one.time} /></td>
      <td>
        ${
          run
            ? html`<${RunName} id=${id} name=${run.name} colour=${run.colour} />`
            : html`<bdi>${id ?? one.experiment}</bdi>`
        }
      </td>
      <td>${one.what.replaceAll("_", " ")} <bdi>${key ?? ""}</bdi> ${one.kind}</td>
      <td>${one.old === null ? "" : html`<span class="old"><${Told} value=${one.old} /></span> → `}<${Told} value=${one.new} /></td>
      <td><bdi>${one.who}</bdi></td>
    </tr>
  `;
}

/** @param {{value: Value}} props */
function Told({ value }) {
  const text = told(value);
  return html`<bdi title=${text}>${short(text, LONG)}</bdi>`;
}

/** A value; of a metric, its last one and how many there are. @param {Value} value */
function told(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "object") return String(value);
  return "n" in value ? `${number(value.last)} (${value.n} values)` : JSON.stringify(value);
}
