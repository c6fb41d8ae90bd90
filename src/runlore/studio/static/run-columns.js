// The columns of tables of runs: heads that sort, cells by kind, and the distance to a baseline.

import { html } from "./vendor/preact@11.2.0/preact.js";
import { Figure } from "./figure.js";
import { isSampled, namespace, number, shortName } from "./format.js";
import { Star } from "./marks.js";
import { Lasted, RunName, Status, Time } from "./parts.js";
import { isSelected, toggle } from "./selection.js";
import { change, view } from "./view.js";

/** @import { RunColumns, RunRows } from "answers" */
/** @import { Column, Tree } from "./grid.js" */
/** @import { Row } from "./row-pages.js" */

/** @type {Record<string, number | undefined>} */
const WIDTHS = { status: 130, duration: 100, created: 120, started: 120, ended: 120, experiment: 160 };
const DELTA = 56; // What the distance to a baseline takes.
const INDENT = 16;
const NARROW = 640;
/** Columns that are sorted from the least value on at first. */
const LESS_IS_BETTER = /^metrics\..*(loss|error|perplexity|mse|mae)/i;

/** A column as an address has it: `metrics.loss~160` is 160 pixels wide. @param {string} text */
export function parseColumn(text) {
  const found = /^(.*)~(\d{2,4})$/s.exec(text);
  return found ? { field: found[1], width: Number(found[2]) } : { field: text, width: null };
}

/** The metric of a column, null for one of something else. @param {string} field */
export const metricOf = (field) =>
  /^metrics\.(?:`((?:[^`]|``)*)`|([^.`]+))/.exec(field)?.slice(1).find(Boolean) ?? null;

/** The metrics of some columns or fields, each once, without those that were sampled. @param {string[]} fields */
export const metricsOf = (fields) =>
  [...new Set(fields.map((text) => metricOf(parseColumn(text).field)))]
    .filter((name) => name !== null)
    .filter((name) => !isSampled(name));

/** @param {{field: string, width: number | null}} column */
const writeColumn = ({ field, width }) => (width ? `${field}~${width}` : field);

/**
 * The columns of a grid. `baseline` is the row of the pinned run, to which numbers are compared;
 * `tree` knows which branches are open, `peek` shows a run beside the table, `valueIn` gives the
 * value of a row in the column of an index.
 * @param {string[]} columns as addresses have them
 * @param {{baseline?: {id: string, values: unknown[]} | null, sortable?: boolean, tree?: Tree | null,
 *   peek?: ((id: string) => void) | null, valueIn?: (row: Row<RunRows>, index: number) => unknown}} [options]
 * @returns {Column<RunRows>[]}
 */
export function gridColumns(
  columns,
  { baseline = null, sortable = true, tree = null, peek = null, valueIn = held } = {},
) {
  /** @param {number} index @returns {(width: number) => void} */
  const resize = (index) => (width) =>
    change(
      { cols: columns.map((text, n) => (n === index ? writeColumn({ ...parseColumn(text), width }) : text)) },
      { replace: true },
    );
  return [
    {
      key: "name",
      width: innerWidth < NARROW ? 184 : 280, // Beside it others must be seen.
      title: html`<${Head} field="name" sortable=${sortable} />`,
      sorted: sortedBy("name"),
      cell: (row) => nameCell(row, tree, peek),
    },
    ...columns.map((text, index) => {
      const { field, width } = parseColumn(text);
      const isNumber = namespace(field) === "metrics" || field === "duration";
      return {
        key: field,
        width: width ?? (WIDTHS[field] ?? 120) + (baseline && field === "duration" ? DELTA : 0),
        number: isNumber,
        figure: field === "duration" ? undefined : (/** @type {Row<RunRows>} */ row) => valueIn(row, index),
        sorted: sortedBy(field),
        title: html`<${Head} field=${field} sortable=${sortable} />`,
        onResize: resize(index),
        /** @param {Row<RunRows>} row */
        cell: (row) => {
          const value = valueIn(row, index);
          const to = baseline && row.answer.ids[row.place] !== baseline.id ? baseline.values[index] : undefined;
          return html`${cell(field, value, row)}${baseline ? delta(value, to) : ""}`;
        },
      };
    }),
  ];
}

/** @param {Row<RunRows>} row @param {number} index @returns {unknown} */
const held = ({ answer, place }, index) => answer.data[index]?.[place];

/** @param {string} field */
const sortedBy = (field) => {
  const { sort } = view.value;
  return sort === field ? "ascending" : sort === `-${field}` ? "descending" : undefined;
};

/** @param {Row<RunRows>} row @param {Tree | null} tree @param {((id: string) => void) | null} peek */
function nameCell({ answer, place }, tree, peek) {
  const id = answer.ids[place];
  const name = answer.names[place];
  const depth = answer.depths?.[place] ?? 0;
  const isAbove = answer.matches && !answer.matches[place];
  return html`
    <span class=${`name-cell ${isAbove ? "above" : ""}`} style=${{ paddingLeft: `${Math.min(depth, 8) * INDENT}px` }}>
      <input
        type="checkbox"
        tabindex="-1"
        aria-label=${`Select ${name}`}
        checked=${isSelected(id)}
        onChange=${() => toggle(id)}
      />
      ${tree && answer.below ? html`<${Branch} id=${id} name=${name} below=${answer.below[place]} tree=${tree} />` : ""}
      <${RunName} id=${id} name=${name} colour=${answer.colours[place]} tabIndex="-1" />
      <${Star} key=${id} id=${id} name=${name} starred=${answer.stars[place]} tabIndex="-1" />
      ${
        peek
          ? html`
            <button class="peek" tabindex="-1" aria-label=${`Details of ${name}`} title="Details beside the table: o" onClick=${() => peek(id)}>
              ◨
            </button>
          `
          : ""
      }
    </span>
  `;
}

/**
 * Opens and closes the branch below a run.
 * @param {{id: string, name: string, below: number, tree: Tree}} props
 */
function Branch({ id, name, below, tree }) {
  if (!below) return html`<span class="branch"></span>`;
  const isOpen = tree.isOpen(id);
  const count = `${below} below`;
  return html`
    <button
      class="branch"
      tabindex="-1"
      aria-expanded=${String(isOpen)}
      aria-label=${`Branch of ${name}: ${count}`}
      title=${count}
      onClick=${() => tree.flip(id)}
    >
      ${isOpen ? "▾" : "▸"}
    </button>
  `;
}

/**
 * What stands in a cell.
 * @param {string} field @param {any} value
 * @param {{answer: RunColumns, place: number} | null} [row] that of one run, whose duration may grow
 */
export function cell(field, value, row = null) {
  if (value === null || value === undefined) return html`<span class="muted">–</span>`;
  if (field === "status") return html`<${Status} of=${value} />`;
  if (field === "duration") {
    return html`<${Lasted} seconds=${value} status=${row?.answer.statuses[row.place]} from=${row?.answer} />`;
  }
  if (["created", "started", "ended"].includes(field)) return html`<${Time} at=${value} />`;
  if (typeof value === "number") return html`<${Figure} value=${value} />`;
  return html`<bdi title=${String(value)}>${String(value)}</bdi>`;
}

/**
 * How far a number is from that of the baseline, in percent of it. As wide for all, so that their points stay aligned.
 * @param {unknown} value @param {unknown} baseline
 */
function delta(value, baseline) {
  if (typeof value !== "number") return "";
  if (typeof baseline !== "number" || value === baseline || baseline === 0) return html`<span class="delta"></span>`;
  const percent = (100 * (value - baseline)) / Math.abs(baseline);
  const size = Math.abs(percent);
  const text =
    size >= 1000 ? `× ${number(value / baseline)}` : `${percent > 0 ? "+" : "−"}${size.toFixed(size < 10 ? 1 : 0)} %`;
  return html`<span class="delta" title=${`the baseline has ${baseline}`}>${text}</span>`;
}

/** @param {{field: string, sortable?: boolean}} props */
export function Head({ field, sortable }) {
  const { sort } = view.value;
  const kind = namespace(field);
  const label = html`
    <span class="muted">${kind === "run" ? "" : `${kind[0]}.`}</span><bdi>${shortName(field)}</bdi>
  `;
  if (!sortable) return html`<span class="head" title=${field}>${label}</span>`;
  const down = sort === `-${field}`;
  const up = sort === field;
  const [first, second] = LESS_IS_BETTER.test(field) ? [field, `-${field}`] : [`-${field}`, field];
  return html`
    <button
      class="sort"
      tabindex="-1"
      title=${field}
      onClick=${() => change({ sort: sort === first ? second : sort === second ? null : first })}
    >
      ${label} ${up ? "↑" : down ? "↓" : ""}
    </button>
  `;
}
