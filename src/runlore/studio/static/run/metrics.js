// The curves of a run: those that it logged, and apart from them what was sampled of its machine.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { useAnswer } from "../api.js";
import { Charts } from "../charts.js";
import { isSampled } from "../format.js";
import { Empty, isActive } from "../parts.js";
import { useWaiting } from "../waiting.js";

/** @import { Run } from "answers" */
/** @import { Drawn } from "../vendor/preact@11.2.0/preact.js" */
/** @typedef {{data: Run, id: string, path: string}} Props those of all tabs of a run */

/** @param {Props} props */
export const Metrics = (props) => html`
  <${Curves} ...${props} wanted=${(/** @type {string} */ name) => !isSampled(name)}>
    <${Empty} title="No metric yet"><p>run.log("loss", 0.5) logs one.</p><//>
  <//>
`;

/** @param {Props} props */
export const System = (props) => html`
  <${Curves} ...${props} wanted=${isSampled}>
    <${Empty} title="No system metrics">
      <p><code>runlore.init</code> samples processor, memory, disk and network every 10 seconds.</p>
    <//>
  <//>
`;

/**
 * @param {Props & {wanted: (name: string) => boolean, children: Drawn}} props `children` are there if none is wanted
 */
function Curves({ data, id, path, wanted, children }) {
  const turn = useWaiting(isActive(data.status) ? [id] : [], null, true);
  const { data: found } = useAnswer(`${path}/metrics`, {}, { runs: [id], turn }).value;
  if (!found) return html`<p class="muted">Loading…</p>`;
  const own = found.metrics.filter(wanted);
  if (!own.length) return children;
  const runs = new Map([[id, { name: data.name, colour: data.colour, status: data.status }]]);
  return html`<${Charts} runs=${runs} names=${own} />`;
}
