// Compute targets: their slots, what executes there, and what waits for what.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { useAnswer } from "../api.js";
import { mayChange } from "../me.js";
import { Code, RunName, Section, Slots, Status, Time, Wrong } from "../parts.js";
import { asof, to } from "../view.js";

/** @import * as answers from "answers" */

const ATTACH = `from runlore import ComputeTarget, Workspace

ComputeTarget.attach(Workspace.open("lab"), "gpus", slots=2)`;

export function Targets() {
  const { data, error } = useAnswer("targets", {}).value;
  if (error && !data) return html`<${Wrong} error=${error} />`;
  if (!data) return html`<p class="muted">Loading…</p>`;
  const pools = data.targets.filter((target) => target.slots !== null);
  return html`
    <div class="bar">
      <h1>Targets</h1>
      <span class="grow"></span>
      ${mayChange.value ? html`<a class="button" href=${to({ page: "new" })}>New run</a>` : ""}
    </div>
    ${data.targets.map((target) => html`<${Target} key=${target.name} target=${target} />`)}
    ${
      pools.length || asof.value !== null
        ? ""
        : html`
          <${Section} title="No pool yet">
            <p>A pool executes a number of runs at once, and lets the others wait in order:</p>
            <${Code}>${ATTACH}<//>
          <//>
        `
    }
  `;
}

/** @param {{target: answers.Target}} props */
function Target({ target }) {
  const { name, kind, slots, executing, queued, waiting } = target;
  const free = slots === null ? null : Math.max(0, slots - executing.length);
  return html`
    <section class="section target" aria-label=${name}>
      <h2><bdi>${name}</bdi> <span class="muted">${kind}</span></h2>
      <p>
        ${slots === null ? (kind === "local" ? "No limit" : "As many as its cluster starts") : html`<${Slots} slots=${slots} used=${executing.length} />`}
        <span class="muted"> · ${executing.length} running</span>
        ${slots === null ? "" : html`<span class="muted"> · ${free} free</span>`}
        ${waiting ? html`<span class="muted"> · ${waiting} waiting</span>` : ""}
      </p>
      ${executing.length || queued.length ? html`<${Rows} executing=${executing} queued=${queued} />` : html`<p class="muted">Nothing runs here.</p>`}
      ${waiting > queued.length ? html`<p class="muted">The next ${queued.length} of ${waiting} that wait.</p>` : ""}
    </section>
  `;
}

/** @param {Pick<answers.Target, "executing" | "queued">} props */
const Rows = ({ executing, queued }) => html`
  <div class="scroll" tabindex="0" role="region" aria-label="Runs on the target">
    <table class="plain wide">
      <thead>
        <tr>
          <th scope="col">Run</th><th scope="col">Status</th><th scope="col">Since</th><th scope="col">User</th>
          <th scope="col">Experiment</th><th scope="col">Waits for</th>
        </tr>
      </thead>
      <tbody>
        ${executing.map((run) => html`<${Row} key=${run.id} run=${run} />`)}
        ${queued.map((run, n) => html`<${Row} key=${run.id} run=${run} place=${n + 1} />`)}
      </tbody>
    </table>
  </div>
`;

/** @param {{run: answers.RunOnTarget, place?: number}} props `place` is that among those that wait */
const Row = ({ run, place }) => html`
  <tr>
    <td><${RunName} id=${run.id} name=${run.name} colour=${run.colour} /></td>
    <td><${Status} of=${run.status} /></td>
    <td><${Time} at=${run.since} /></td>
    <td><bdi>${run.user ?? ""}</bdi></td>
    <td><a href=${to({ page: "runs", experiment: run.experiment })}><bdi>${run.experiment}</bdi></a></td>
    <td class="wrap">
      ${place ? html`${place === 1 ? "It is the next one" : `${place - 1} before it`}: ` : ""}<bdi>${run.detail ?? ""}</bdi>
    </td>
  </tr>
`;
