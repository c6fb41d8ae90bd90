// The charts below the table: the button that opens them, and the edge that makes them higher.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { later } from "../later.js";
import { change, view } from "../view.js";

/** @import { Question } from "../selection.js" */
/** @import { View } from "../view.js" */
/** @import { On } from "../vendor/preact@11.2.0/preact.js" */

const Below = later(async () => (await import("./below.js")).Below);
const HEIGHT = 230;
const [HEIGHT_MIN, HEIGHT_MAX] = [140, 600];
const STEP = 20;
const EDGE = 16; // As in the style sheet: what is above stays where it is when charts come.

/** @param {number} height */
const within = (height) => Math.min(HEIGHT_MAX, Math.max(HEIGHT_MIN, Math.round(height)));

/** The height of the charts that the address names; null while they are closed. @param {View} view */
const heightOf = ({ split }) => (/^\d{1,4}$/.test(split ?? "") ? within(Number(split)) : null);

/** Opens and closes the charts below the table. */
export function ChartsButton() {
  const isOpen = heightOf(view.value) !== null;
  const flip = () => change({ split: isOpen ? null : String(HEIGHT) }, { replace: true });
  return html`<button aria-expanded=${String(isOpen)} onClick=${flip} title="Three charts below the table">Charts</button>`;
}

/** @param {{question: Question, columns: string[], fields: string[]}} props those of `Below`, without its height */
export function Split(props) {
  const height = heightOf(view.value);
  if (height === null) return "";
  return html`
    <section class="below" aria-label="Charts below the table" style=${{ height: `${EDGE + height}px` }}>
      <${Edge} height=${height} />
      <${Below} ...${props} height=${height} />
    </section>
  `;
}

/** The upper edge of the charts, which is dragged, or moved by ↑ and ↓. @param {{height: number}} props */
function Edge({ height }) {
  /** @param {number} next */
  const put = (next) => change({ split: String(within(next)) }, { replace: true });
  /** @param {On<PointerEvent, HTMLElement>} event */
  const grab = (event) => {
    event.preventDefault();
    const edge = event.currentTarget;
    const start = event.clientY;
    edge.setPointerCapture(event.pointerId);
    edge.onpointermove = (moved) => put(height + start - moved.clientY);
    edge.onpointerup = () => {
      edge.onpointermove = null;
    };
  };
  /** @param {KeyboardEvent} event */
  const keys = (event) => {
    const step = event.key === "ArrowUp" ? STEP : event.key === "ArrowDown" ? -STEP : 0;
    if (!step) return;
    event.preventDefault();
    put(height + step);
  };
  return html`
    <div
      class="split-edge"
      role="separator"
      tabindex="0"
      aria-label="Height of the charts"
      aria-orientation="horizontal"
      aria-valuemin=${HEIGHT_MIN}
      aria-valuemax=${HEIGHT_MAX}
      aria-valuenow=${height}
      onPointerDown=${grab}
      onKeyDown=${keys}
    ></div>
  `;
}
