// What changed since the moment that is shown.

import { html, useState } from "./vendor/preact@11.2.0/preact.js";
import { useAnswer } from "./api.js";
import { number } from "./format.js";
import { Time, Wrong } from "./parts.js";
import { asof, view, write } from "./view.js";

/** @import { Value } from "answers" */

const SHOWN = 200;

/** A button, and below it the net changes from the shown moment to now, the last ones first. */
export function Since() {
  const [isOpen, open] = useState(Boolean(view.value.since));
  return html`
    <button class="quiet" aria-expanded=${String(isOpen)} onClick=${() => open(!isOpen)}>What changed since</button>
    ${isOpen ? html`<${Changes} from=${asof.value} run=${view.value.run} />` : ""}
  `;
}

/** @param {{from: number, run?: string}} props */
function Changes({ from, run }) {
  const { data, error } = useAnswer("diff", { from, run }, { runs: run ? [run] : null }).value;
  if (error) return html`<${Wrong} error=${error} />`;
  if (!data) return html`<p class="muted">Loading…</p>`;
  if (!data.total) return html`<p>Nothing has changed${run ? " in this run" : ""}.</p>`;
  const last = data.changes.slice(-SHOWN).reverse();
  return html`
    <div class="scroll since" tabindex="0" role="region" aria-label="What changed since">
      <table class="plain">
        <thead>
          <tr><th scope="col">When</th><th scope="col">Run or experiment</th><th scope="col">Change</th><th scope="col">From → to</th><th scope="col">Who</th></tr>
        </thead>
        <tbody>
          ${last.map(
            (one, n) => html`
              <tr key=${n}>
                <td><${Time} at=${one.time} /></td>
                <td>
                  ${
                    one.run_id
                      ? html`<a href=${write({ page: "run", run: one.run_id })}><bdi>${one.run_id.slice(0, 12)}</bdi></a>`
                      : html`<bdi>${one.experiment}</bdi>`
                  }
                </td>
                <td>${one.what.replaceAll("_", " ")} <bdi>${one.key ?? ""}</bdi> ${one.kind}</td>
                <td>${one.old === null ? "" : html`<span class="old"><bdi>${told(one.old)}</bdi></span> → `}<bdi>${told(one.new)}</bdi></td>
                <td><bdi>${one.who}</bdi></td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
    ${data.total > last.length ? html`<p>The last ${last.length} of ${data.total} changes.</p>` : ""}
  `;
}

/** A value; of a metric, its last one and how many there are. @param {Value} value */
function told(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "object") return String(value);
  return "n" in value ? `${number(value.last)} (${value.n} values)` : JSON.stringify(value);
}
