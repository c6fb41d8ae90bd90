// The experiments of the workspace.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { useAnswer } from "../api.js";
import { runsOf } from "../format.js";
import { Code, Empty, Lasted, Slots, Time, Wrong } from "../parts.js";
import { Spark } from "../spark.js";
import { asof, to } from "../view.js";

/** @import { Experiment, Load } from "answers" */

const FIRST_RUN = `import runlore

with runlore.init("first-steps") as run:
    run.log("loss", 0.5)`;

export function Experiments() {
  const { data, error } = useAnswer("experiments", {}).value;
  if (error && !data) return html`<${Wrong} error=${error} />`;
  if (!data) return html`<p class="muted">Loading…</p>`;
  if (!data.experiments.length) {
    return html`
      <${Empty} title=${asof.value === null ? "No experiment yet" : "There was no experiment then"}>
        <p>Start a run from any script:</p>
        <${Code}>${FIRST_RUN}<//>
      <//>
    `;
  }
  return html`
    <h1>Experiments</h1>
    ${data.targets.length ? html`<${Targets} targets=${data.targets} />` : ""}
    <div class="scroll" tabindex="0" role="region" aria-label="Experiments">
      <table class="plain wide">
        <thead>
          <tr>
            <th scope="col">Experiment</th>
            <th scope="col" class="number">Runs</th>
            <th scope="col" class="number">Active</th>
            <th scope="col" class="number">Failed</th>
            <th scope="col">On targets</th>
            <th scope="col" class="number" title="Of the runs that have ended, half executed no longer">Median</th>
            <th scope="col">Last start</th>
            <th scope="col">30 days</th>
          </tr>
        </thead>
        <tbody>
          ${data.experiments.map((one) => html`<${Row} key=${one.id} one=${one} />`)}
        </tbody>
      </table>
    </div>
  `;
}

const ACTIVE = "not status in (Completed, Failed, Canceled)";

/** @param {{one: Experiment}} props */
function Row({ one }) {
  const { name, runs, active, failed, targets, by_day: byDay } = one;
  /** @param {number} count @param {string} f */
  const link = (count, f) => (count ? html`<a href=${to({ page: "runs", experiment: name, f })}>${count}</a>` : "");
  const lately = byDay.reduce((sum, count) => sum + count, 0);
  return html`
    <tr>
      <td><a href=${to({ page: "runs", experiment: name })}><bdi>${name}</bdi></a></td>
      <td class="number">${runs.toLocaleString("en-US")}</td>
      <td class="number">${link(active, ACTIVE)}</td>
      <td class="number">${link(failed, "status = Failed")}</td>
      <td>
        ${targets.map(
          (target) => html`
            <span class="on-target">
              <a href=${to({ page: "runs", experiment: name, f: `target = ${JSON.stringify(target.name)} and ${ACTIVE}` })}><bdi>${target.name}</bdi></a>
              <span class="muted">${` ${loadOf(target)}`}</span>
            </span>
          `,
        )}
      </td>
      <td class="number"><${Lasted} seconds=${one.median_s} /></td>
      <td><${Time} at=${one.last} /></td>
      <td><${Spark} counts=${byDay} label=${`${runsOf(lately)} in 30 days, at most ${Math.max(...byDay)} a day`} /></td>
    </tr>
  `;
}

/** @param {Load} load */
const loadOf = ({ executing, waiting }) =>
  [executing && `${executing} running`, waiting && `${waiting} waiting`].filter(Boolean).join(", ");

/**
 * The compute targets in short: how full they are, and how many runs wait.
 * @param {{targets: (Load & {slots: number})[]}} props
 */
const Targets = ({ targets }) => html`
  <p class="targets-line">
    <a href=${to({ page: "targets" })}>Targets</a>
    ${targets.map(
      (target) => html`
        <span class="on-target">
          <b><bdi>${target.name}</bdi></b>${" "}
          <${Slots} slots=${target.slots} used=${target.executing} />
          <span class="muted">${` ${loadOf(target) || "free"}`}</span>
        </span>
      `,
    )}
  </p>
`;
