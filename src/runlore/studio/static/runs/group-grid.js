// Runs gathered by a field: a row per value, with an aggregate of each column.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { duration, number } from "../format.js";
import { Grid } from "../grid.js";
import { Wrong } from "../parts.js";
import { usePages } from "../row-pages.js";
import { cell, Head, parseColumn } from "../run-columns.js";
import { change, view } from "../view.js";

/** @import { GroupRows } from "answers" */
/** @import { Row } from "../row-pages.js" */
/** @import { Question } from "../selection.js" */

/** @param {{question: Question, columns: string[]}} props */
export function GroupGrid({ question, columns }) {
  const { group = "", agg = "mean", f } = view.value;
  const fields = columns.map((text) => parseColumn(text).field).filter((field) => field !== group);
  const params = { ...question, group, agg, cols: fields };
  const pages = usePages("groups", params);
  const { error, total } = pages.state.value;
  /** @param {string} filter that of a group */
  const open = (filter) => change({ group: null, agg: null, f: f ? `(${f}) and ${filter}` : filter });
  /** @param {number} index */
  const isNumber = (index) => Boolean(pages.row(0)?.answer.spreads[index]);
  if (error && total === null) return html`<${Wrong} error=${error} />`;
  return html`
    <${Grid}
      pages=${pages}
      label=${`Groups of runs by ${group}`}
      columns=${[
        {
          key: "value",
          width: 180,
          title: html`<${Head} field=${group} />`,
          /** @param {Row<GroupRows>} row */
          cell: (row) => valueCell(row, open),
        },
        {
          key: "runs",
          width: 80,
          number: true,
          title: html`<span class="head">runs</span>`,
          /** @param {Row<GroupRows>} row */
          cell: ({ answer, place }) => answer.runs[place],
        },
        ...fields.map((field, index) => ({
          key: field,
          width: columns.map(parseColumn).find((one) => one.field === field)?.width ?? (isNumber(index) ? 140 : 120),
          number: isNumber(index),
          figure:
            field === "duration"
              ? undefined
              : (/** @type {Row<GroupRows>} */ { answer, place }) => answer.data[index][place],
          title: html`<${Head} field=${field} />`,
          /** @param {Row<GroupRows>} row */
          cell: (row) => aggregateCell(field, index, row, agg),
        })),
      ]}
      onOpen=${open}
    />
  `;
}

/** @param {Row<GroupRows>} row @param {(filter: string) => void} open */
function valueCell({ answer, place }, open) {
  const value = answer.values[place];
  return html`
    <button class="group" title=${answer.ids[place]} onClick=${() => open(answer.ids[place])}>
      ${value === null ? html`<span class="muted">none</span>` : cell("", value)}
    </button>
  `;
}

/** @param {string} field @param {number} index @param {Row<GroupRows>} row @param {string} agg */
function aggregateCell(field, index, { answer, place }, agg) {
  const value = answer.data[index][place];
  const spread = agg === "mean" ? answer.spreads[index]?.[place] : null;
  if (value === null && answer.distinct[index][place] > 1) {
    return html`<span class="muted">${answer.distinct[index][place]} values</span>`;
  }
  const inUnits = field === "duration" ? duration : number;
  return html`
    ${cell(field, value)}
    ${typeof spread === "number" ? html` <span class="delta spread" title=${String(spread)}>± ${inUnits(spread)}</span>` : ""}
  `;
}
