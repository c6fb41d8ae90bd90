// A field of the runs as bars, the greatest first.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { number } from "../format.js";
import { Empty, RunName } from "../parts.js";
import { isNumeric } from "../plane.js";
import { view } from "../view.js";
import { FieldChoice, chosen, known, usual, valuesOf } from "./fields.js";

/** @import { RunColumns } from "answers" */

/** @param {{data: RunColumns}} props */
export function Bars({ data }) {
  const fields = known(data).filter((field) => isNumeric(valuesOf(data, field)));
  if (!fields.length) return html`<${Empty} title="No numbers"><p>None of the runs has a field of numbers.</p><//>`;
  const picked = chosen(view.value.cols, fields, [
    usual(fields).find((field) => field.startsWith("metrics.")) ?? fields[0],
  ]);
  const values = valuesOf(data, picked[0]);
  const rows = data.ids.flatMap((id, n) => {
    const value = values[n];
    return typeof value === "number" ? [{ id, n, value }] : [];
  });
  rows.sort((a, b) => b.value - a.value);
  const least = Math.min(0, ...rows.map(({ value }) => value));
  const span = Math.max(0, ...rows.map(({ value }) => value)) - least || 1;
  /** @param {number} value */
  const share = (value) => (100 * value) / span;
  return html`
    <div class="bar"><${FieldChoice} label="field" fields=${fields} picked=${picked} place=${0} /></div>
    <table class="plain bars">
      <thead><tr><th scope="col">Run</th><th scope="col" class="number">${picked[0]}</th><th></th></tr></thead>
      <tbody>
        ${rows.map(
          ({ id, n, value }) => html`
            <tr key=${id}>
              <td><${RunName} id=${id} name=${data.names[n]} colour=${data.colours[n]} /></td>
              <td class="number" title=${String(value)}>${number(value)}</td>
              <td class="bar-cell">
                <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                  <rect class=${`run-${data.colours[n] % 8}`} x=${share(Math.min(0, value) - least)} width=${Math.max(0.3, share(Math.abs(value)))} height="10" />
                </svg>
              </td>
            </tr>
          `,
        )}
      </tbody>
    </table>
  `;
}
