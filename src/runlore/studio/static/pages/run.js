// One run: who it is, and a tab for each of its parts.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { useAnswer } from "../api.js";
import { Before } from "../before.js";
import { later } from "../later.js";
import { Star } from "../marks.js";
import { Lasted, Status, Swatch, Wrong } from "../parts.js";
import { RunActions } from "../run-actions.js";
import { asof, to, view } from "../view.js";

/** @import { Run as Answer } from "answers" */
/** @typedef {{data: Answer, path: string, id: string}} Props those of all tabs */

/** @type {Record<string, ReturnType<typeof later<Props>>>} */
const TABS = {
  details: later(async () => (await import("../run/details.js")).Details),
  metrics: later(async () => (await import("../run/metrics.js")).Metrics),
  images: later(async () => (await import("../run/logged.js")).Images),
  tables: later(async () => (await import("../run/logged.js")).Tables),
  children: later(async () => (await import("../run/children.js")).Children),
  logs: later(async () => (await import("../run/logs.js")).Logs),
  files: later(async () => (await import("../run/files.js")).Files),
  snapshot: later(async () => (await import("../run/snapshot.js")).Snapshot),
  system: later(async () => (await import("../run/metrics.js")).System),
  history: later(async () => (await import("../run/history.js")).History),
};

export function Run() {
  const { run: id = "", tab = "details" } = view.value;
  const path = `runs/${encodeURIComponent(id)}`;
  const { data, error } = useAnswer(path, {}, { runs: [id] }).value;
  if (error && !data) {
    const isBefore = asof.value !== null && error.title === "RunNotFound";
    return isBefore
      ? html`<${Before} title="There was no such run at that time" run=${id} />`
      : html`<${Wrong} error=${error} />`;
  }
  if (!data) return html`<p class="muted">Loading…</p>`;
  const shown = Object.hasOwn(TABS, tab) ? tab : "details";
  const Tab = TABS[shown];
  return html`
    <${Head} data=${data} path=${path} />
    <nav class="tabs" aria-label="Parts of the run">
      ${Object.keys(TABS).map(
        (name) => html`
          <a href=${to({ page: "run", run: id, tab: name })} aria-current=${name === shown ? "page" : undefined}>
            ${name}
          </a>
        `,
      )}
    </nav>
    <${Tab} data=${data} path=${path} id=${id} />
  `;
}

/** @param {{data: Answer, path: string}} props */
function Head({ data, path }) {
  return html`
    <header class="run-head">
      <h1><${Swatch} colour=${data.colour} /> <bdi>${data.name}</bdi></h1>
      <${Star} key=${data.id} id=${data.id} name=${data.name} starred=${data.starred} />
      <${Status} of=${data.status} />
      <${Lasted} seconds=${data.duration} status=${data.status} from=${data} />
      <span class="muted">
        <a href=${to({ page: "runs", experiment: data.experiment })}><bdi>${data.experiment}</bdi></a>
        ${` · run ${data.number} · `}<code>${data.id}</code>
      </span>
      <span class="grow"></span>
      <${RunActions} data=${data} path=${path} />
    </header>
  `;
}
