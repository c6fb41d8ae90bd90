// A run beside the table: why it failed, its curves, its log, tags and config.

import { html, useEffect, useRef, useState } from "../vendor/preact@11.2.0/preact.js";
import { send, useAnswer } from "../api.js";
import { Chart } from "../chart.js";
import { lookOf } from "../charts.js";
import { isSampled } from "../format.js";
import { Markdown } from "../markdown.js";
import { mayChange } from "../me.js";
import { Facts, Lasted, Section, Status, Swatch, Time, Wrong, isActive, mayCancel } from "../parts.js";
import { Refused, Tags } from "../run-actions.js";
import { Logs } from "../run/logs.js";
import { Failure, flattened } from "../run/details.js";
import { to } from "../view.js";
import { useWaiting } from "../waiting.js";

/** @import { Run } from "answers" */
/** @import { Zoom } from "../plot.js" */

const CHARTS = 3;

/**
 * @param {{id: string, metrics: string[], onClose: () => void}} props `metrics` are those of the
 *   table's columns, whose curves are shown first
 */
export function Drawer({ id, metrics, onClose }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const path = `runs/${encodeURIComponent(id)}`;
  const { data, error } = useAnswer(path, {}, { runs: [id] }).value;
  const isShown = data?.id === id;
  useEffect(() => {
    // On a small screen it covers the table: the focus must not stay below.
    if (frame.current && getComputedStyle(frame.current).position === "fixed") frame.current.focus();
  }, []);
  return html`
    <aside ref=${frame} class="drawer" tabindex="-1" aria-label=${isShown ? `Run ${data.name}` : "Run"}>
      <div class="bar">
        ${isShown ? html`<${Head} data=${data} path=${path} />` : ""}
        <span class="grow"></span>
        <button class="quiet" onClick=${onClose} aria-label="Close the details" title="esc">✕</button>
      </div>
      <p class="unseen" role="status">${isShown ? `Details of ${data.name}, ${data.status}` : ""}</p>
      ${error ? html`<${Wrong} error=${error} />` : isShown ? "" : html`<p class="muted">Loading…</p>`}
      ${isShown ? html`<${Body} key=${id} data=${data} path=${path} metrics=${metrics} />` : ""}
    </aside>
  `;
}

/** @param {{data: Run, path: string}} props */
function Head({ data, path }) {
  const [problem, setProblem] = useState(/** @type {Error | null} */ (null));
  const cancel = () => send("POST", `${path}/cancel`).then(() => setProblem(null), setProblem);
  return html`
    <h2><a class="run-name" href=${to({ page: "run", run: data.id })}><${Swatch} colour=${data.colour} /> <bdi>${data.name}</bdi></a></h2>
    <${Status} of=${data.status} />
    <${Lasted} seconds=${data.duration} status=${data.status} from=${data} />
    ${mayChange.value && mayCancel(data.status) ? html`<button onClick=${cancel}>Cancel</button>` : ""}
    ${problem ? html`<${Refused} problem=${problem} />` : ""}
  `;
}

/** @param {{data: Run, path: string, metrics: string[]}} props */
function Body({ data, path, metrics }) {
  const config = flattened(data.config);
  const log = data.logs.length ? html`<${Section} title="Log"><${Logs} data=${data} path=${path} /><//>` : "";
  const isAsked = data.status !== "Completed"; // Of such a run the log is looked for first.
  return html`
    <${Failure} error=${data.error} heading="h3" />
    ${isAsked && log}
    <${Facts}
      rows=${[
        ["created", html`<${Time} at=${data.created} /> <span class="muted">by <bdi>${data.user}</bdi></span>`],
        ...(data.ended ? [["ended", html`<${Time} at=${data.ended} />`]] : []),
        ...(data.description
          ? [["description", data.markdown ? html`<${Markdown} tree=${data.markdown} />` : data.description]]
          : []),
      ]}
    />
    <${Curves} data=${data} path=${path} metrics=${metrics} />
    ${isAsked ? "" : log}
    <${Section} title="Tags"><${Tags} data=${data} path=${path} /><//>
    ${config.length ? html`<${Section} title="Config"><${Facts} rows=${config} /><//>` : ""}
  `;
}

/** @param {{data: Run, path: string, metrics: string[]}} props */
function Curves({ data, path, metrics }) {
  const [zoom, setZoom] = useState(/** @type {Zoom | null} */ (null));
  const turn = useWaiting(isActive(data.status) ? [data.id] : [], null, true);
  const found = useAnswer(`${path}/metrics`, {}, { runs: [data.id], turn }).value.data?.metrics ?? [];
  const own = found.filter((name) => !isSampled(name));
  const names = [...new Set([...metrics.filter((name) => own.includes(name)), ...own])].slice(0, CHARTS);
  const runs = new Map([[data.id, { name: data.name, colour: data.colour, status: data.status }]]);
  return html`
    ${names.map(
      (metric) => html`
        <${Chart} key=${metric} metric=${metric} runs=${runs} look=${lookOf({})} zoom=${zoom} onZoom=${setZoom} />
      `,
    )}
    ${
      own.length > names.length
        ? html`<p><a href=${to({ page: "run", run: data.id, tab: "metrics" })}>All ${own.length} metrics</a></p>`
        : ""
    }
  `;
}
