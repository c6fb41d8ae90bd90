// A chart of the columns of a table: lines or points over numbers and times, bars over texts.

import { html, useLayoutEffect, useRef } from "./vendor/preact@11.2.0/preact.js";
import uPlot from "./vendor/uplot@1.6.32/uplot.js";
import { number } from "./format.js";
import { useWidth } from "./parts.js";
import { AXIS, colourOf, redrawn } from "./theme.js";

/** @import { Value } from "answers" */
/** @import { Data, Marks, Options } from "./vendor/uplot@1.6.32/uplot.js" */
/** @typedef {{name: string, kind: string, values: Value[]}} Column */

const HEIGHT = 300;
const BARS_MAX = 100;
const COLOURS = 8;

/** @param {{x: Column, ys: Column[]}} props */
export function SimpleChart({ x, ys }) {
  return x.kind === "text" ? html`<${Bars} x=${x} y=${ys[0]} />` : html`<${Lines} x=${x} ys=${ys} />`;
}

/** @param {{x: Column, ys: Column[]}} props */
function Lines({ x, ys }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const width = useWidth(frame);
  useLayoutEffect(() => {
    if (!width || !frame.current) return undefined;
    const at = x.values.map((value) => (x.kind === "time" ? Date.parse(String(value)) / 1000 : Number(value)));
    const order = [...at.keys()].filter((n) => Number.isFinite(at[n])).sort((a, b) => at[a] - at[b]);
    /** @type {Marks} */
    const shown = (_, ticks) => ticks.map((tick) => (tick === null ? "" : number(tick)));
    /** @type {Options} */
    const options = {
      width,
      height: HEIGHT,
      legend: { show: true, live: true },
      scales: { x: { time: x.kind === "time" } },
      axes: [
        { ...AXIS, values: x.kind === "time" ? undefined : shown },
        { ...AXIS, size: 64, values: shown },
      ],
      series: [
        {
          label: x.name,
          value: (_, value) =>
            value === null ? "–" : x.kind === "time" ? new Date(value * 1000).toISOString() : number(value),
        },
        ...ys.map((y, n) => ({
          label: y.name,
          stroke: () => colourOf(`--run-${n % COLOURS}`),
          width: 1.5,
          points: { show: order.length <= 200, size: 5 },
          /** @param {unknown} _ @param {number | null} value */
          value: (_, value) => number(value) || "–",
        })),
      ],
    };
    /** @type {Data} */
    const data = [order.map((n) => at[n]), ...ys.map((y) => order.map((n) => finite(y.values[n])))];
    const drawn = new uPlot(options, data, frame.current);
    const end = redrawn(drawn);
    return () => {
      end();
      drawn.destroy();
    };
  }, [x, ys, width]);
  return html`<figure class="chart" aria-label=${`${ys.map((y) => y.name).join(", ")} by ${x.name}`}><div ref=${frame} class="chart-frame"></div></figure>`;
}

/** @param {Value} value */
const finite = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** @param {{x: Column, y: Column}} props */
function Bars({ x, y }) {
  const rows = x.values.slice(0, BARS_MAX).map((name, n) => ({ name, value: finite(y.values[n]) }));
  const most = Math.max(...rows.map(({ value }) => Math.abs(value ?? 0)), Number.MIN_VALUE);
  return html`
    <figure class="chart" aria-label=${`${y.name} by ${x.name}`}>
      <table class="plain wide text-bars">
        <thead><tr><th scope="col">${x.name}</th><th scope="col">${y.name}</th></tr></thead>
        <tbody>
          ${rows.map(
            ({ name, value }) => html`
              <tr>
                <th scope="row"><bdi>${name ?? "–"}</bdi></th>
                <td>
                  <span class=${`bar-of ${(value ?? 0) < 0 ? "below" : ""}`} style=${{ width: `${(70 * Math.abs(value ?? 0)) / most}%` }}></span>
                  ${value === null ? "–" : number(value)}
                </td>
              </tr>
            `,
          )}
        </tbody>
      </table>
      ${x.values.length > BARS_MAX ? html`<p class="muted">The first ${BARS_MAX} of ${x.values.length}.</p>` : ""}
    </figure>
  `;
}
