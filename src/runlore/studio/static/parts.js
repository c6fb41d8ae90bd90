// Small parts that many pages have.

import { html, useLayoutEffect, useState } from "./vendor/preact@11.2.0/preact.js";
import { now } from "./clock.js";
import { ago, duration, moment } from "./format.js";
import { asof, to } from "./view.js";

/** @import { Drawn, Ref } from "./vendor/preact@11.2.0/preact.js" */

/** @type {Record<string, string>} */
const ICONS = {
  Completed: "✓",
  Failed: "✕",
  Canceled: "⊘",
  CancelRequested: "⊘",
  Running: "▶",
  Starting: "▶",
  Finalizing: "▶",
  NotResponding: "✕",
};

const ENDED = ["Completed", "Failed", "Canceled"];

/** Whether a run may still log. @param {string} status */
export const isActive = (status) => !ENDED.includes(status);

/** Whether a run can be cancelled, and nobody has done so yet. @param {string} status */
export const mayCancel = (status) => isActive(status) && status !== "CancelRequested";

/**
 * Icon, word and colour: none of them alone. The icons are those of `runlore.shown.colours`.
 * @param {{of: string}} props
 */
export const Status = ({ of }) => html`
  <span class=${`status status-${ICONS[of] ? of : "waiting"}`}>
    <span aria-hidden="true">${ICONS[of] ?? "◷"}</span> ${of}
  </span>
`;

/** The colour and dash of a run, as its curves have them. @param {{colour: number}} props */
export const Swatch = ({ colour }) => html`
  <svg class=${`swatch run-${colour % 8}`} viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
    <rect width="12" height="12" rx="2" />
    <line x1="1" y1="6" x2="11" y2="6" stroke-dasharray=${DASHES[colour >> 3].join(" ")} />
  </svg>
`;

/** The dashes of runs: the first eight of an experiment have none. */
export const DASHES = [[], [3, 1.5], [1, 1.5], [4, 1.5, 1, 1.5]];

/** @param {{id: string, name: string, colour: number, tabIndex?: string}} props */
export const RunName = ({ id, name, colour, tabIndex }) => html`
  <a class="run-name" tabindex=${tabIndex} href=${to({ page: "run", run: id })} title=${name}>
    <${Swatch} colour=${colour} /> <bdi>${name}</bdi>
  </a>
`;

/** @param {{at: string}} props */
export const Time = ({ at }) => html`<time dateTime=${at} title=${moment(at)}>${ago(at, now.value)}</time>`;

/**
 * For how long a run has executed; of an active one, that and the time since the answer came.
 * @param {{seconds: number | null, status?: string, from?: {arrivedAt?: number}}} props
 */
export function Lasted({ seconds, status, from }) {
  if (seconds === null || seconds === undefined) return "";
  const since = status && isActive(status) && asof.value === null ? from?.arrivedAt : undefined;
  const grows = since !== undefined;
  const total = grows ? seconds + Math.max(0, now.value - since) / 1000 : seconds;
  return html`<span class="lasted" title=${`${grows ? total.toFixed(1) : total} s`}>${duration(total)}</span>`;
}

const SLOTS_MAX = 64;

/** A box for each slot, filled where a run is on it. @param {{slots: number, used: number}} props */
export const Slots = ({ slots, used }) => html`
  <span class="slots" role="img" aria-label=${`${Math.min(used, slots)} of ${slots} slots are used`}>
    ${Array.from({ length: Math.min(slots, SLOTS_MAX) }, (_, n) => html`<span class=${n < used ? "slot used" : "slot"}></span>`)}
  </span>
  ${slots} ${slots === 1 ? "slot" : "slots"}
`;

/** What is wrong, and what to do. @param {{error: Error, retry?: () => void}} props */
export const Wrong = ({ error, retry }) => html`
  <div class="wrong" role="alert">
    <p>${error.message}</p>
    ${retry && html`<button onClick=${retry}>Try again</button>`}
  </div>
`;

/** An empty place says the next step. @param {{title: string, children?: Drawn}} props */
export const Empty = ({ title, children }) => html`
  <div class="empty">
    <h2>${title}</h2>
    ${children}
  </div>
`;

/** @param {{children: string}} props */
export const Code = ({ children }) => html`<pre class="code"><code>${children}</code></pre>`;

/** Keys and values. A value is text, or a part. @param {{rows: [name: string, value: Drawn][]}} props */
export const Facts = ({ rows }) => html`
  <dl class="facts">
    ${rows.map(
      ([name, value]) => html`
        <div>
          <dt><bdi>${name}</bdi></dt>
          <dd>${typeof value === "string" ? html`<bdi>${value}</bdi>` : value}</dd>
        </div>
      `,
    )}
  </dl>
`;

/** The width of an element in pixels, 0 before it is known. @param {Ref<HTMLElement | null>} frame */
export function useWidth(frame) {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const measure = () => setWidth(element.clientWidth);
    measure(); // The observer says it a frame later.
    const size = new ResizeObserver(measure);
    size.observe(element);
    return () => size.disconnect();
  }, []);
  return width;
}

/** @param {{title: Drawn, count?: number | string, children?: Drawn}} props */
export const Section = ({ title, count, children }) => html`
  <section class="section">
    <h2>${title}${count === undefined ? "" : html` <span class="muted">${count}</span>`}</h2>
    ${children}
  </section>
`;
