// The experiments of the workspace.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { ask, useAnswer } from "../api.js";
import { Code, Empty, Time, Wrong } from "../parts.js";
import { asof, change, to } from "../view.js";

const FIRST_RUN = `import runlore

with runlore.init("first-steps") as run:
    run.log("loss", 0.5)`;

const DAY_MS = 86_400_000;

/** The workspace as it was a day ago, with what has changed since. */
async function showYesterday() {
  const { position } = await ask("position", { at: new Date(Date.now() - DAY_MS).toISOString() });
  change({ asof: position, since: true });
}

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
    <div class="bar">
      <h1>Experiments</h1>
      <span class="grow"></span>
      ${asof.value === null ? html`<button onClick=${showYesterday}>What changed since yesterday</button>` : ""}
    </div>
    <table class="plain">
      <thead>
        <tr>
          <th scope="col">Experiment</th>
          <th scope="col" class="number">Runs</th>
          <th scope="col" class="number">Active</th>
          <th scope="col" class="number">Failed</th>
          <th scope="col">Last start</th>
        </tr>
      </thead>
      <tbody>
        ${data.experiments.map(
          (one) => html`
            <tr key=${one.id}>
              <td><a href=${to({ page: "runs", experiment: one.name })}><bdi>${one.name}</bdi></a></td>
              <td class="number">${one.runs}</td>
              <td class="number">${one.active || ""}</td>
              <td class="number">
                ${one.failed
                  ? html`<a href=${to({ page: "runs", experiment: one.name, f: "status = Failed" })}>${one.failed}</a>`
                  : ""}
              </td>
              <td><${Time} at=${one.last} /></td>
            </tr>
          `,
        )}
      </tbody>
    </table>
  `;
}
