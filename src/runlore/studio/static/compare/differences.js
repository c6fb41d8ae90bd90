// The fields of runs in a table: those in which they differ, or all.

import { html, useState } from "../vendor/preact@11.2.0/preact.js";
import { isSampled } from "../format.js";
import { RunName, Section } from "../parts.js";
import { cell } from "../run-columns.js";
import { rowsAt } from "./run-list.js";

/** @import { RunColumns } from "answers" */

const RUNS_MAX = 200; // A column each.

/** @param {unknown[]} values */
const differ = (values) => new Set(values.map((value) => JSON.stringify(value))).size > 1;

/** The fields in which the runs differ, without those of their machines, or all. @param {{data: RunColumns}} props */
export function Differences({ data: every }) {
  const data = every.ids.length > RUNS_MAX ? rowsAt(every, [...every.ids.keys()].slice(0, RUNS_MAX)) : every;
  const [all, showAll] = useState(false);
  const rows = data.columns
    .map((field, index) => ({ field, values: data.data[index] }))
    .filter(({ values }) => values.some((value) => value !== null))
    .filter(({ field, values }) => all || (!isSampled(field) && differ(values)));
  return html`
    <${Section} title=${all ? "All fields" : "Differences"} count=${rows.length}>
      ${data === every ? "" : html`<p class="muted">The first ${RUNS_MAX} of ${every.ids.length} runs.</p>`}
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
                    (value, n) => html`
                      <td class=${typeof value === "number" ? "number" : ""}>${cell(field, value, { answer: data, place: n })}</td>
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
