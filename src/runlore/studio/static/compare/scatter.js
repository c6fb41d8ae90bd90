// Runs as points: a field against another one.

import { html, useRef } from "../vendor/preact@11.2.0/preact.js";
import { number, short, tick } from "../format.js";
import { Empty, useWidth } from "../parts.js";
import { scaleOf } from "../plane.js";
import { go, view } from "../view.js";
import { FieldChoice, chosen, known, usual, valuesOf } from "./fields.js";

/** @import { RunColumns } from "answers" */

const [WIDTH_MAX, HEIGHT, LEFT, BOTTOM] = [800, 400, 88, 48];

/** @param {{data: RunColumns}} props */
export function Scatter({ data }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const width = useWidth(frame);
  return html`<div ref=${frame}>${width ? html`<${Plane} data=${data} width=${Math.min(width, WIDTH_MAX)} />` : ""}</div>`;
}

/** @param {{data: RunColumns, width: number}} props */
function Plane({ data, width }) {
  const fields = known(data).filter((field) => field !== "status");
  /** @param {string} kind */
  const first = (kind) => usual(fields).find((field) => field.startsWith(kind));
  if (fields.length < 2)
    return html`<${Empty} title="Nothing to compare"><p>The runs have fewer than two fields.</p><//>`;
  const defaults = [first("config.") ?? fields[0], first("metrics.") ?? fields[1]];
  const picked = chosen(view.value.cols, fields, defaults);
  const [xs, ys] = picked.map((field) => valuesOf(data, field));
  const x = scaleOf(xs, LEFT, width - 12);
  const y = scaleOf(ys, HEIGHT - BOTTOM, 12);
  const points = data.ids
    .map((id, n) => ({ id, n, name: data.names[n], colour: data.colours[n] }))
    .filter(({ n }) => xs[n] !== null && ys[n] !== null);
  return html`
    <div class="bar">
      <${FieldChoice} label="x" fields=${fields} picked=${picked} place=${0} />
      <${FieldChoice} label="y" fields=${fields} picked=${picked} place=${1} />
      <span class="muted">${points.length} of ${data.ids.length} runs have both.</span>
    </div>
    <svg class="plane" width=${width} height=${HEIGHT} role="group" aria-label=${`${picked[1]} against ${picked[0]}`}>
      ${x.marks.map(
        (mark) => html`
          <line class="rule" x1=${x.at(mark)} x2=${x.at(mark)} y1="12" y2=${HEIGHT - BOTTOM} />
          <text x=${x.at(mark)} y=${HEIGHT - BOTTOM + 16} text-anchor="middle">${label(mark)}</text>
        `,
      )}
      ${y.marks.map(
        (mark) => html`
          <line class="rule" x1=${LEFT} x2=${width - 12} y1=${y.at(mark)} y2=${y.at(mark)} />
          <text x=${LEFT - 8} y=${y.at(mark) + 4} text-anchor="end">${label(mark)}</text>
        `,
      )}
      <text x=${(LEFT + width) / 2} y=${HEIGHT - 8} text-anchor="middle">${short(picked[0], 60)}</text>
      ${points.map(
        ({ id, n, name, colour }) => html`
          <circle
            key=${id}
            class=${`dot run-${colour % 8}`}
            cx=${x.at(xs[n])}
            cy=${y.at(ys[n])}
            r="5"
            role="link"
            tabindex="0"
            aria-label=${`${name}: ${told(xs[n])}, ${told(ys[n])}`}
            onClick=${() => go({ page: "run", run: id, asof: view.value.asof })}
            onKeyDown=${(event) => event.key === "Enter" && go({ page: "run", run: id, asof: view.value.asof })}
          >
            <title>${`${name}\n${picked[0]}: ${told(xs[n])}\n${picked[1]}: ${told(ys[n])}`}</title>
          </circle>
        `,
      )}
    </svg>
  `;
}

/** A mark of an axis. @param {string | number} mark */
export const label = (mark) => (typeof mark === "number" ? tick(Number(mark.toPrecision(6))) : short(mark, 12));
/** @param {unknown} value */
const told = (value) => (typeof value === "number" ? number(value) : String(value));
