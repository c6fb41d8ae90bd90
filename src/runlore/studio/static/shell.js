// The frame of all pages: where one is, the moment that is shown, and the ways to other pages.

import { html, useEffect, useState } from "./vendor/preact@11.2.0/preact.js";
import { useAnswer } from "./api.js";
import { moment } from "./format.js";
import { Help, useKeys } from "./keys.js";
import { state as live } from "./live.js";
import { workspace } from "./me.js";
import { SaveView } from "./save-view.js";
import { Since, showYesterday } from "./since.js";
import { nextTheme, theme } from "./theme.js";
import { asof, change, copy, to, view } from "./view.js";

/** @import { Drawn } from "./vendor/preact@11.2.0/preact.js" */

/** @param {{children: Drawn}} props */
export function Shell({ children }) {
  const [past, showPast] = useState(asof.value !== null);
  const found = useAnswer("workspace", {}).value.data;
  const { page } = view.value;
  useEffect(() => {
    document.title = `${title()} · ${found?.name ?? "runlore"}`;
    if (found) workspace.value = found;
  });
  const [helps, showHelp] = useState(false);
  useKeys({ past: () => showPast((is) => !is), theme: nextTheme, help: () => showHelp(true) });
  /** @param {string} target @param {string} name @param {string} icon */
  const link = (target, name, icon) => html`
    <a
      href=${to({ page: target })}
      aria-current=${page === target || (page === "run" && target === "runs") ? "page" : undefined}
    >
      <span class="rail-icon" aria-hidden="true">${icon}</span>${name}
    </a>
  `;
  return html`
    <a class="skip" href="#main">To the content</a>
    <nav class="rail" aria-label="Pages">
      ${copy ? "" : html`${link("experiments", "Home", "⌂")} ${link("runs", "Runs", "☰")}`} ${link("compare", "Compare", "≷")}
      ${copy ? "" : html`${link("targets", "Targets", "▤")} ${link("sql", "SQL", "∑")} ${link("views", "Views", "☆")}`}
    </nav>
    <header class="top">
      <${Path} workspace=${found?.name} />
      <span class="grow"></span>
      <span class=${`live live-${asof.value === null ? live.value : "past"}`} role="status">
        ${asof.value !== null ? "past" : copy ? "a copy" : live.value === "on" ? "live" : "not live"}
      </span>
      ${
        copy
          ? ""
          : html`<${SaveView} />
        <button onClick=${showYesterday} title="What changed since yesterday">
          <span class="on-wide">Since yesterday</span><span class="on-narrow">24 h</span>
        </button>
        <button aria-pressed=${String(past)} onClick=${() => showPast(!past)} title="t">As of…</button>
        <button onClick=${() => showHelp(true)} title="?" aria-label="Help: keys">?</button>`
      }
      <button onClick=${nextTheme} title="." aria-label=${`Theme: ${theme.value}`}>◐</button>
    </header>
    ${past || asof.value !== null ? html`<${Past} head=${found?.head} close=${() => showPast(false)} />` : ""}
    <main id="main" tabindex="-1">${children}</main>
    ${helps ? html`<${Help} onClose=${() => showHelp(false)} />` : ""}
  `;
}

function title() {
  const { page, experiment, run } = view.value;
  /** @type {Record<string, string | undefined>} */
  const names = {
    experiments: "Experiments",
    compare: "Compare",
    sql: "SQL",
    targets: "Targets",
    new: "New run",
    views: "Views",
  };
  return names[page] ?? run ?? experiment ?? "Runs";
}

/** @param {{workspace?: string}} props */
function Path({ workspace }) {
  const { page, experiment } = view.value;
  return html`
    <nav class="path" aria-label="Where you are">
      <a href=${to({ page: "experiments" })}><bdi>${workspace ?? "…"}</bdi></a>
      ${page === "experiments" ? "" : html` <span aria-hidden="true">/</span> `}
      ${page === "runs" && html`<bdi>${experiment ?? "all runs"}</bdi>`}
      ${["compare", "sql", "targets", "views"].includes(page) && html`<span>${page}</span>`}
      ${page === "new" && html`<span>new run</span>`}
      ${page === "run" && html`<bdi>${view.value.run?.slice(0, 8)}</bdi>`}
    </nav>
  `;
}

/** As high as the slider, so that nothing below moves when it comes. */
const ComingPast = () => html`
  <section class=${`past ${asof.value === null ? "" : "past-on"}`} aria-label="Past">
    <svg class="past-track" aria-hidden="true"></svg>
    <input type="range" disabled aria-label="As of" />
    <p>Loading… <button class="quiet" disabled>Back to now</button></p>
    ${asof.value === null ? "" : html`<button class="quiet" disabled>What changed since</button>`}
  </section>
`;

/**
 * The slider over the log's time, with a picture of how much happened when.
 * @param {{head?: number, close: () => void}} props
 */
function Past({ head, close }) {
  const { data } = useAnswer("timeline", { buckets: 200 }).value;
  const [dragged, drag] = useState(/** @type {number | null} */ (null));
  if (!data) return html`<${ComingPast} />`;
  if (!data.positions.length) {
    return html`<section class="past muted" aria-label="Past">Nothing has happened yet.</section>`;
  }
  const last = data.positions.length - 1;
  /** @param {number} position */
  const placeOf = (position) => data.positions.findIndex((one) => one >= position);
  const shown = dragged ?? (asof.value === null ? last : Math.max(0, placeOf(asof.value)));
  const most = Math.max(...data.events);
  const back = () => {
    drag(null);
    change({ asof: null });
    close();
  };
  return html`
    <section class=${`past ${asof.value === null ? "" : "past-on"}`} aria-label="Past">
      <svg class="past-track" viewBox=${`0 0 ${last + 1} 10`} preserveAspectRatio="none" aria-hidden="true">
        ${data.events.map((events, index) => {
          const size = 1 + (9 * events) / most;
          return html`<rect x=${index} y=${10 - size} width="0.8" height=${size} />`;
        })}
      </svg>
      <input
        type="range"
        min="0"
        max=${last}
        value=${shown}
        aria-label="As of"
        aria-valuetext=${moment(data.times[shown])}
        onInput=${(event) => drag(Number(event.currentTarget.value))}
        onChange=${(event) => {
          const place = Number(event.currentTarget.value);
          drag(null);
          change({ asof: place === last ? null : data.positions[place] });
        }}
      />
      <p>
        ${
          asof.value === null && dragged === null
            ? "Now. Drag to see the workspace as it was."
            : html`As it was on <b>${moment(data.times[shown])}</b>, position${" "}
              ${dragged === null ? asof.value : data.positions[shown]} of ${head}.`
        }
        <button class="quiet" onClick=${back}>Back to now</button>
      </p>
      ${asof.value === null ? "" : html`<${Since} />`}
    </section>
  `;
}
