// Runs as lines through parallel axes, one of each field.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { short, shortName } from "../format.js";
import { pointed } from "../lit.js";
import { Empty } from "../parts.js";
import { scaleOf } from "../plane.js";
import { change, view } from "../view.js";
import { known, usual, valuesOf } from "./fields.js";
import { label } from "./scatter.js";

/** @import { RunColumns } from "answers" */
/** @import { Scale } from "../plane.js" */
/** @typedef {{field: string, values: unknown[], x: number, scale: Scale}} Axis */

const [GAP, HEIGHT, TOP, BOTTOM, SIDE] = [150, 400, 40, 24, 76];
const AXES_AT_FIRST = 6;

/** The fields that differ, config before metrics. @param {RunColumns} data */
function differing(data) {
  /** @param {string} field */
  const differs = (field) => new Set(valuesOf(data, field).map((value) => JSON.stringify(value))).size > 1;
  const fields = usual(known(data)).filter(differs);
  /** @param {string} name */
  const kind = (name) => fields.filter((field) => field.startsWith(name));
  return [...kind("config.").slice(0, AXES_AT_FIRST / 2), ...kind("metrics.").slice(0, AXES_AT_FIRST / 2)];
}

/** @param {{data: RunColumns}} props */
export function Parallel({ data }) {
  const lit = pointed.value;
  const fields = known(data).filter((field) => field !== "status");
  const picked = (view.value.cols ?? differing(data)).filter((field) => fields.includes(field));
  /** @param {string} field */
  const flip = (field) =>
    change({ cols: picked.includes(field) ? picked.filter((one) => one !== field) : [...picked, field] });
  const width = SIDE * 2 + GAP * Math.max(1, picked.length - 1);
  const axes = picked.map((field, n) => {
    const values = valuesOf(data, field);
    return { field, values, x: SIDE + n * GAP, scale: scaleOf(values, HEIGHT - BOTTOM, TOP) };
  });
  return html`
    <details class="picker">
      <summary>Axes</summary>
      <ul class="popup popup-left">
        ${fields.map(
          (field) => html`
            <li key=${field}>
              <label class="check"><input type="checkbox" checked=${picked.includes(field)} onChange=${() => flip(field)} /> <bdi>${field}</bdi></label>
            </li>
          `,
        )}
      </ul>
    </details>
    ${
      axes.length < 2
        ? html`<${Empty} title="Choose two axes"><p>Lines go from one axis to another: the runs differ in fewer than two fields.</p><//>`
        : html`
          <div class="scroll" tabindex="0" role="region" aria-label="Parallel coordinates">
            <svg class="plane" width=${width} height=${HEIGHT} role="img" aria-label=${`${data.ids.length} runs over ${picked.join(", ")}`}>
              ${data.ids.map(
                (id, n) => html`
                  <path key=${id} class=${`thread stroke-${data.colours[n] % 8} ${lit !== null && lit !== id ? "faint" : ""}`} d=${lineOf(axes, n)} />
                `,
              )}
              ${axes.map(
                ({ field, x, scale }) => html`
                  <line class="axis" x1=${x} x2=${x} y1=${TOP} y2=${HEIGHT - BOTTOM} />
                  <text x=${x} y=${TOP - 16} text-anchor="middle">${short(shortName(field), 22)}<title>${field}</title></text>
                  ${scale.marks.map((mark) => html`<text class="mark" x=${x + 6} y=${scale.at(mark) + 4}>${label(mark)}</text>`)}
                `,
              )}
            </svg>
          </div>
        `
    }
  `;
}

/** The line of a run; it breaks where the run has no value. @param {Axis[]} axes @param {number} n */
function lineOf(axes, n) {
  let pen = "M";
  return axes
    .map(({ values, x, scale }) => {
      if (values[n] === null || values[n] === undefined) {
        pen = "M";
        return "";
      }
      const point = `${pen}${x} ${scale.at(values[n]).toFixed(1)}`;
      pen = "L";
      return point;
    })
    .join("");
}
