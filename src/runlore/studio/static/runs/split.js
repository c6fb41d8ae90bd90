// The bar below the table, which opens charts, and the edge by which they are made higher.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { later } from "../later.js";
import { change, view } from "../view.js";

const Below = later(async () => (await import("./below.js")).Below);
const HEIGHT = 230;
const [HEIGHT_MIN, HEIGHT_MAX] = [140, 600];
const STEP = 20;
const BAR = 24; // As in the style sheet: what is above stays where it is when charts come.

const within = (height) => Math.min(HEIGHT_MAX, Math.max(HEIGHT_MIN, Math.round(height)));

/** The height of the charts that the address names; null while they are closed. */
const heightOf = ({ split }) => (/^\d{1,4}$/.test(split ?? "") ? within(Number(split)) : null);

/** @param {any} props those of `Below`, without its height */
export function Split(props) {
  const height = heightOf(view.value);
  const flip = () => change({ split: height === null ? String(HEIGHT) : null }, { replace: true });
  return html`
    <section class="below" aria-label="Charts below the table" style=${{ height: `${BAR + (height ?? 0)}px` }}>
      <div class="split">
        <button class="quiet" aria-expanded=${String(height !== null)} onClick=${flip}>${height === null ? "▴" : "▾"} Charts</button>
        ${height === null ? "" : html`<${Edge} height=${height} />`}
      </div>
      ${height === null ? "" : html`<${Below} ...${props} height=${height} />`}
    </section>
  `;
}

/** The upper edge of the charts, which is dragged, or moved by ↑ and ↓. */
function Edge({ height }) {
  const put = (next) => change({ split: String(within(next)) }, { replace: true });
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
  const keys = (event) => {
    const step = { ArrowUp: STEP, ArrowDown: -STEP }[event.key];
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
