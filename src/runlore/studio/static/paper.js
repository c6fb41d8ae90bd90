// Paper: a page that is printed shows more rows than the screen does.

import { html, signal, useEffect } from "./vendor/preact@11.2.0/preact.js";
import { shownColumns } from "./grid-cells.js";

/** @import { GridProps } from "./grid.js" */
/** @import { Row, Rows } from "./row-pages.js" */

/** The rows that a table prints at most. */
export const PAPER_ROWS = 1000;

/** Whether the page is drawn for paper. */
export const isPrinting = signal(false);

/** @type {Set<() => unknown>} */
const preparing = new Set();

/**
 * Calls a function before the page is printed, and waits for it.
 * @param {() => unknown} prepare @param {unknown[]} inputs those of the function, as an effect has them
 */
export function usePaper(prepare, inputs) {
  useEffect(() => {
    preparing.add(prepare);
    return () => preparing.delete(prepare);
  }, inputs);
}

const frame = () => new Promise((drawn) => requestAnimationFrame(drawn));

async function print() {
  await Promise.allSettled([...preparing].map((prepare) => prepare()));
  isPrinting.value = true;
  await frame();
  await frame();
  window.print();
}

addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey || event.key !== "p") return;
  event.preventDefault();
  print();
});
// The browser's menu waits for nothing: it prints what has been asked for already.
addEventListener("beforeprint", () => (isPrinting.value = true));
addEventListener("afterprint", () => (isPrinting.value = false));

/**
 * A grid as paper has it: a plain table of all its rows, whose heads stand on each sheet.
 * @template {Rows} Answer @param {GridProps<Answer>} props
 */
export function OnPaper({ pages, columns, label, pinned }) {
  const total = pages.state.value.total ?? 0;
  const count = Math.min(total, PAPER_ROWS);
  usePaper(() => pages.all?.(count), [pages.all, count]);
  if (!isPrinting.value) return "";
  const rows = Array.from({ length: count }, (_, index) => pages.row(index)).filter((row) => row !== null);
  const shown = shownColumns(columns, [...columns.keys()], rows);
  /** @param {Row<Answer>} row */
  const cells = (row) =>
    shown.map(({ column, look, style }) => html`<td class=${look} style=${style}>${column.cell(row)}</td>`);
  return html`
    <div class="on-paper">
      <table class="plain" aria-label=${label}>
        <thead>
          <tr>${shown.map(({ column, look }) => html`<th scope="col" class=${look}>${column.title}</th>`)}</tr>
        </thead>
        <tbody>
          ${pinned ? html`<tr>${cells(pinned)}</tr>` : ""}
          ${rows.map((row, n) => html`<tr key=${n}>${cells(row)}</tr>`)}
        </tbody>
      </table>
      <${LeftOut} printed=${rows.length} total=${total} />
    </div>
  `;
}

/** @param {number} count */
const told = (count) => count.toLocaleString("en-US");

/** What paper says of the rows that it does not have. @param {{printed: number, total: number}} props */
export const LeftOut = ({ printed, total }) =>
  total > printed
    ? html`<p class="left-out">The first ${told(printed)} of ${told(total)} rows; ${told(total - printed)} are left out.</p>`
    : "";
