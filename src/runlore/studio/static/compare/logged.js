// Images and tables of runs side by side.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { useAnswer } from "../api.js";
import { Document, Picture, Table } from "../logged.js";
import { Empty, RunName, Section } from "../parts.js";

/** @import { LoggedFile, RunColumns } from "answers" */
/** @typedef {"images" | "tables"} Kind */

const RUNS_MAX = 12;

/**
 * What each of the runs logged, as soon as it is known.
 * @param {{id: string, name: string, colour: number, kind: Kind}} props
 */
function Column({ id, name, colour, kind }) {
  const path = `runs/${encodeURIComponent(id)}`;
  const { data } = useAnswer(`${path}/logged`, {}, { runs: [id] }).value;
  /** @type {{metric: string, files?: LoggedFile[], Part?: typeof Document}[]} */
  const metrics = data
    ? kind === "images"
      ? data.images
      : [
          ...data.documents.map((metric) => ({ metric, Part: Document })),
          ...data.tables.map((metric) => ({ metric, Part: Table })),
        ]
    : [];
  return html`
    <section class="beside" aria-label=${name}>
      <h2><${RunName} id=${id} name=${name} colour=${colour} /></h2>
      ${data && !metrics.length ? html`<p class="muted">None.</p>` : ""}
      ${metrics.map(
        ({ metric, files, Part }) => html`
          <${Section} key=${metric} title=${html`<bdi>${metric}</bdi>`} count=${files?.length}>
            ${
              files
                ? files.map((file, n) => html`<${Picture} key=${n} path=${path} metric=${metric} file=${file} />`)
                : html`<${Part} path=${path} metric=${metric} />`
            }
          <//>
        `,
      )}
    </section>
  `;
}

/** @param {{data: RunColumns, kind: Kind}} props */
export function Beside({ data, kind }) {
  if (!data.ids.length) return html`<${Empty} title="No runs"><p>Select runs in a list first.</p><//>`;
  return html`
    <div class="side-by-side" tabindex="0" role="region" aria-label=${kind}>
      ${data.ids
        .slice(0, RUNS_MAX)
        .map(
          (id, n) =>
            html`<${Column} key=${id} id=${id} name=${data.names[n]} colour=${data.colours[n]} kind=${kind} />`,
        )}
    </div>
    ${data.ids.length > RUNS_MAX ? html`<p class="muted">The first ${RUNS_MAX} of ${data.ids.length} runs.</p>` : ""}
  `;
}
