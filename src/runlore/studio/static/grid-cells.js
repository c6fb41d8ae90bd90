// The heads and cells of a grid: those of the columns in view.

import { html } from "./vendor/preact@11.2.0/preact.js";
import { placesOf } from "./figure.js";

const WIDTH_MIN = 48;
const WIDTH_MAX = 960;

/** @import { Column } from "./grid.js" */
/** @import { Row, Rows } from "./row-pages.js" */
/** @import { On } from "./vendor/preact@11.2.0/preact.js" */

/**
 * A column in view, and the style of its cells in a row of all columns.
 * @template {Rows} Answer
 * @typedef {{column: Column<Answer>, place: number, look: string, style: Record<string, string | number>}} Shown
 */

/**
 * Columns in view. The numbers of each have room behind their points for the longest of the rows.
 * @template {Rows} Answer
 * @param {Column<Answer>[]} columns @param {number[]} places @param {Row<Answer>[]} rows
 * @returns {Shown<Answer>[]}
 */
export const shownColumns = (columns, places, rows) =>
  places.map((place) => {
    const column = columns[place];
    const { figure } = column;
    const values = figure ? rows.map(figure).filter((value) => value !== null && value !== undefined) : [];
    const isNumber = column.number || (values.length > 0 && values.every((value) => typeof value === "number"));
    const behind = placesOf(values);
    /** @type {Record<string, string | number>} */
    const style = { gridColumn: place + 1 };
    if (behind) style["--places"] = `${behind}ch`;
    return { column, place, look: isNumber ? "number" : "", style };
  });

/** @template {Rows} Answer @param {Shown<Answer>[]} shown @param {Row<Answer> | null} row null while it is asked for */
export const cells = (shown, row) =>
  shown.map(
    ({ column, place, look, style }) => html`
      <div key=${column.key} role="gridcell" aria-colindex=${place + 1} class=${`grid-cell ${look}`} style=${style}>
        ${row ? column.cell(row) : ""}
      </div>
    `,
  );

/** @template {Rows} Answer @param {Shown<Answer>[]} shown */
export const heads = (shown) =>
  shown.map(
    ({ column, place, look }) => html`
      <div
        key=${column.key}
        role="columnheader"
        aria-colindex=${place + 1}
        aria-sort=${column.sorted}
        class=${`grid-cell ${look}`}
        style=${{ gridColumn: place + 1 }}
      >
        ${column.title}
        ${column.onResize ? html`<${Edge} width=${column.width} onResize=${column.onResize} />` : ""}
      </div>
    `,
  );

/**
 * The right edge of a column, which is dragged to make it wider.
 * @param {{width: number, onResize: (width: number) => void}} props
 */
function Edge({ width, onResize }) {
  /** @param {On<PointerEvent, HTMLElement>} event */
  const grab = (event) => {
    event.preventDefault();
    const edge = event.currentTarget;
    const start = event.clientX;
    edge.setPointerCapture(event.pointerId);
    edge.onpointermove = (moved) =>
      onResize(Math.max(WIDTH_MIN, Math.min(WIDTH_MAX, Math.round(width + moved.clientX - start))));
    edge.onpointerup = () => {
      edge.onpointermove = null;
    };
  };
  return html`<span class="grid-edge" aria-hidden="true" onPointerDown=${grab}></span>`;
}
