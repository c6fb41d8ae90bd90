// The snapshot of a run's source, and how it differs from that of another run.

import { html, useState } from "../vendor/preact@11.2.0/preact.js";
import { useAnswer } from "../api.js";
import { bytes } from "../format.js";
import { Empty, Section, Wrong } from "../parts.js";
import { change, copy, inPath, view } from "../view.js";

/** @import { Run, SourceFile } from "answers" */

const OTHERS = 100;

/** @param {{data: Run, path: string, id: string}} props */
export function Snapshot({ data, path, id }) {
  const { data: found, error } = useAnswer(`${path}/snapshot`, {}, { runs: [id] }).value;
  const { other } = view.value;
  if (error) return html`<${Wrong} error=${error} />`;
  if (!found) return html`<p class="muted">Loading…</p>`;
  if (found.id === null) {
    return html`<${Empty} title="No snapshot"><p><code>runlore.init</code> and submitted runs keep their source.</p><//>`;
  }
  return html`
    ${copy ? "" : html`<${Others} experiment=${data.experiment} id=${id} other=${other} />`}
    ${other ? html`<${Diff} path=${path} other=${other} />` : html`<${Source} path=${path} files=${found.files} />`}
  `;
}

/** @param {{experiment: string, id: string, other?: string}} props */
function Others({ experiment, id, other }) {
  const { data } = useAnswer("runs", { experiment, limit: OTHERS, cols: ["status"] }, { runs: [] }).value;
  const named = data ? data.ids.map((one, n) => [one, `${data.names[n]} · ${data.numbers[n]}`]) : [];
  const runs = named.filter(([one]) => one !== id);
  if (other && !runs.some(([one]) => one === other)) runs.unshift([other, other]);
  return html`
    <div class="bar">
      <label>
        differences from${" "}
        <select value=${other ?? ""} onChange=${(event) => change({ other: event.currentTarget.value || null })}>
          <option value="">no other run</option>
          ${runs.map(([one, name]) => html`<option key=${one} value=${one} selected=${one === other}>${name}</option>`)}
        </select>
      </label>
    </div>
  `;
}

/** @param {{path: string, files: SourceFile[]}} props */
function Source({ path, files }) {
  const [shown, show] = useState(/** @type {string | null} */ (null));
  return html`
    <ul class="files">
      ${files.map(
        (file) => html`
          <li key=${file.name}>
            <button class="quiet" aria-pressed=${String(shown === file.name)} onClick=${() => show(shown === file.name ? null : file.name)}>
              <code><bdi dir="ltr">${file.name}</bdi></code> <span class="muted">${bytes(file.nbytes)}${file.executable ? ", executable" : ""}</span>
            </button>
            ${shown === file.name ? html`<${Text} path=${path} name=${file.name} />` : ""}
          </li>
        `,
      )}
    </ul>
  `;
}

/** @param {{path: string, name: string}} props */
function Text({ path, name }) {
  const { data, error } = useAnswer(`${path}/snapshot/text/${inPath(name)}`, {}, { runs: [] }).value;
  if (error) return html`<${Wrong} error=${error} />`;
  if (!data) return html`<p class="muted">Loading…</p>`;
  return html`<pre class="code preview" tabindex="0" role="region" aria-label=${name}>${data.text}</pre>`;
}

const SIGNS = { added: "+", removed: "−", changed: "±" };

/** @param {{path: string, other: string}} props */
function Diff({ path, other }) {
  const { data, error } = useAnswer(`${path}/snapshot/diff`, { other }, { runs: [] }).value;
  if (error) return html`<${Wrong} error=${error} />`;
  if (!data) return html`<p class="muted">Loading…</p>`;
  if (!data.changes.length) return html`<${Empty} title="The same source"><p>Both runs have the same files.</p><//>`;
  return data.changes.map(
    (one) => html`
      <${Section} key=${one.name} title=${html`${SIGNS[one.kind]} <code><bdi dir="ltr">${one.name}</bdi></code> <span class="muted">${one.kind}</span>`}>
        ${
          one.lines
            ? html`<pre class="code diff" tabindex="0" role="region" aria-label=${`Changes of ${one.name}`}>${one.lines.map(
                (line, n) => html`<span key=${n} class=${KINDS[line[0]] ?? ""}>${`${line}\n`}</span>`,
              )}</pre>`
            : html`<p class="muted">No text, or too long: ${bytes(one.old_nbytes) || "nothing"} → ${bytes(one.new_nbytes) || "nothing"}.</p>`
        }
      <//>
    `,
  );
}

/** The first character says what a line is; so does its background. @type {Record<string, string | undefined>} */
const KINDS = { "+": "plus", "-": "minus", "@": "place" };
