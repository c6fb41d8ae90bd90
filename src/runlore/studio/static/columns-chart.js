// A curve of two columns of a table, such as a ROC: one of numbers over another.

import { html, useMemo, useState } from "./vendor/preact@11.2.0/preact.js";
import { useAnswer } from "./api.js";
import { SimpleChart } from "./simple-chart.js";

/** @import { TableRows } from "answers" */

const ROWS_MAX = 1_000;

/** The columns that hold numbers, and nothing else where they have a value. @param {TableRows} rows */
const numeric = ({ columns, data }) =>
  columns.filter(
    (_, n) => data[n].some(Number.isFinite) && data[n].every((value) => value === null || typeof value === "number"),
  );

/**
 * The columns of a table of a run as a chart; nothing if fewer than two hold numbers.
 * @param {{path: string, metric: string, data: TableRows}} props `data` are some rows
 */
export function ColumnsChart({ path, metric, data }) {
  const names = numeric(data);
  const [chosen, choose] = useState(/** @type {{x?: string, y?: string}} */ ({}));
  const isThere = names.length > 1;
  const rest = data.total > (data.data[0]?.length ?? Infinity);
  const more = useAnswer(`${path}/table`, { metric, offset: 0, limit: ROWS_MAX }, { skip: !isThere || !rest }).value
    .data;
  const rows = rest ? more : data;
  const x = names.find((name) => name === chosen.x) ?? names[0];
  const y = names.find((name) => name === chosen.y) ?? names.find((name) => name !== x);
  const columns = useMemo(() => {
    if (!rows) return null;
    /** @param {string | undefined} name */
    const of = (name = "") => ({ name, kind: "number", values: rows.data[rows.columns.indexOf(name)] });
    return { x: of(x), ys: [of(y)] };
  }, [rows, x, y]);
  if (!isThere || !columns) return "";
  /** @param {string} label @param {string | undefined} value @param {"x" | "y"} key */
  const choice = (label, value, key) => html`
    <label>
      ${label}${" "}
      <select value=${value} onChange=${(event) => choose({ ...chosen, [key]: event.currentTarget.value })}>
        ${names.map((name) => html`<option key=${name} value=${name} selected=${name === value}>${name}</option>`)}
      </select>
    </label>
  `;
  return html`
    <div class="bar">
      ${choice("x", x, "x")} ${choice("y", y, "y")}
      ${data.total > ROWS_MAX ? html`<span class="muted">the first ${ROWS_MAX.toLocaleString("en-US")} of ${data.total.toLocaleString("en-US")} rows</span>` : ""}
    </div>
    <${SimpleChart} ...${columns} />
  `;
}
