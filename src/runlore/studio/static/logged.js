// Images, tables and documents that a run logged.

import { html, useState } from "./vendor/preact@11.2.0/preact.js";
import { address, ask, useAnswer } from "./api.js";
import { Figure, placesOf } from "./figure.js";
import { number } from "./format.js";
import { LeftOut, PAPER_ROWS, isPrinting, usePaper } from "./paper.js";
import { later } from "./later.js";
import { Wrong } from "./parts.js";
import { asof, inPath } from "./view.js";

/** @import { LoggedFile } from "answers" */

const ColumnsChart = later(async () => (await import("./columns-chart.js")).ColumnsChart);
const ROWS = 50;
const SHOWN_TYPES = /\.(png|jpe?g|gif|webp)$/i;

/** The address of a file of a run. @param {string} path @param {string} name */
export const fileAddress = (path, name) => address(`${path}/files/${inPath(name)}`, { asof: asof.value });

/**
 * An image of a run; a file that no browser may show is a link to it.
 * @param {{path: string, metric: string, file: LoggedFile}} props
 */
export function Picture({ path, metric, file }) {
  const url = fileAddress(path, file.file);
  return html`
    <figure class="picture">
      ${
        SHOWN_TYPES.test(file.file)
          ? html`<img src=${url} alt=${`${metric}, step ${file.step}`} loading="lazy" />`
          : html`<a href=${url} download><bdi>${file.file}</bdi></a>`
      }
      <figcaption class="muted">step ${file.step}</figcaption>
    </figure>
  `;
}

/** The rows of a table, page by page. @param {{path: string, metric: string}} props */
export function Table({ path, metric }) {
  const [offset, setOffset] = useState(0);
  const answer = useAnswer(`${path}/table`, { metric, offset, limit: ROWS }).value;
  const [whole, setWhole] = useState(/** @type {typeof answer.data} */ (null));
  const prepare = async () => setWhole(await ask(`${path}/table`, { metric, offset: 0, limit: PAPER_ROWS }));
  usePaper(prepare, [path, metric, asof.value]);
  if (answer.error) return html`<${Wrong} error=${answer.error} />`;
  if (!answer.data) return html`<p class="muted">Loading…</p>`;
  const printed = isPrinting.value ? whole : null;
  const isWhole = printed !== null;
  const data = printed ?? answer.data;
  const rows = data.data[0]?.length ?? 0;
  const places = data.data.map(placesOf);
  return html`
    <${ColumnsChart} path=${path} metric=${metric} data=${data} />
    <div class="scroll" tabindex="0" role="region" aria-label=${metric}>
      <table class="plain">
        <thead>
          <tr>${data.columns.map((name) => html`<th scope="col"><bdi>${name}</bdi></th>`)}</tr>
        </thead>
        <tbody>
          ${Array.from({ length: rows }, (_, n) => html`<tr>${data.data.map((column, at) => html`<${Cell} value=${column[n]} places=${places[at]} />`)}</tr>`)}
        </tbody>
      </table>
    </div>
    ${isWhole ? html`<${LeftOut} printed=${rows} total=${data.total} />` : ""}
    ${
      data.total > ROWS && !isWhole
        ? html`
          <p class="bar">
            <button disabled=${offset === 0} onClick=${() => setOffset(offset - ROWS)}>Earlier</button>
            <span>rows ${offset + 1} to ${offset + rows} of ${data.total}</span>
            <button disabled=${offset + rows >= data.total} onClick=${() => setOffset(offset + ROWS)}>Later</button>
          </p>
        `
        : ""
    }
  `;
}

/** @param {{value: unknown, places: number}} props `places` of the column, as `placesOf` says */
function Cell({ value, places }) {
  if (typeof value === "number") {
    return html`<td class="number" style=${{ "--places": `${places}ch` }}><${Figure} value=${value} /></td>`;
  }
  const text = value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value);
  return html`<td title=${value === null ? "" : String(value)}><bdi>${text}</bdi></td>`;
}

/** A metric that is made of documents: the last one. @param {{path: string, metric: string}} props */
export function Document({ path, metric }) {
  const { data, error } = useAnswer(`${path}/documents`, { metric }).value;
  if (error) return html`<${Wrong} error=${error} />`;
  if (!data) return html`<p class="muted">Loading…</p>`;
  const last = data.documents.at(-1);
  const matrix = data.kind === "confusion_matrix" ? matrixIn(last) : null;
  if (matrix) return html`<${Matrix} ...${matrix} label=${metric} />`;
  return html`<pre class="code" tabindex="0" role="region" aria-label=${metric}>${JSON.stringify(last, null, 2)}</pre>`;
}

/** The labels and rows of a confusion matrix; null if the document holds none. @param {any} found */
function matrixIn(found) {
  const { class_labels: labels, matrix: rows } = found?.data ?? {};
  const isOne =
    Array.isArray(labels) &&
    Array.isArray(rows) &&
    rows.length === labels.length &&
    rows.every((row) => Array.isArray(row) && row.length === labels.length && row.every(Number.isFinite));
  return isOne ? { labels: labels.map(String), rows } : null;
}

/**
 * A confusion matrix: a darker cell for a greater share of its row, and the number in each.
 * @param {{labels: string[], rows: number[][], label: string}} props
 */
export function Matrix({ labels, rows, label }) {
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${label}>
      <table class="matrix">
        <caption class="muted">rows: true class, columns: predicted</caption>
        <thead>
          <tr><th></th>${labels.map((name) => html`<th scope="col"><bdi>${name}</bdi></th>`)}</tr>
        </thead>
        <tbody>
          ${rows.map((row, n) => {
            const sum = row.reduce((all, value) => all + Math.max(0, value), 0) || 1;
            return html`
              <tr>
                <th scope="row"><bdi>${labels[n]}</bdi></th>
                ${row.map(
                  (value) => html`
                    <td class=${`heat-${Math.min(9, Math.max(0, Math.floor((10 * value) / sum)))}`}>${number(value)}</td>
                  `,
                )}
              </tr>
            `;
          })}
        </tbody>
      </table>
    </div>
  `;
}
