// The tabs of images and tables of a run.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { useAnswer } from "../api.js";
import { Document, Picture, Table } from "../logged.js";
import { Empty, Section } from "../parts.js";

/** @import { Drawn } from "../vendor/preact@11.2.0/preact.js" */

/** @param {{path: string, id: string}} props */
export function Images({ path, id }) {
  const { data } = useAnswer(`${path}/logged`, {}, { runs: [id] }).value;
  if (!data) return html`<p class="muted">Loading…</p>`;
  if (!data.images.length)
    return html`<${Empty} title="No images"><p>run.log_image("samples", "samples.png") keeps one.</p><//>`;
  return data.images.map(
    ({ metric, files }) => html`
      <${Section} key=${metric} title=${html`<bdi>${metric}</bdi>`} count=${files.length}>
        <div class="pictures">
          ${files.map((file, n) => html`<${Picture} key=${n} path=${path} metric=${metric} file=${file} />`)}
        </div>
      <//>
    `,
  );
}

/** @param {{path: string, id: string}} props */
export function Tables({ path, id }) {
  const { data } = useAnswer(`${path}/logged`, {}, { runs: [id] }).value;
  if (!data) return html`<p class="muted">Loading…</p>`;
  if (!data.tables.length && !data.documents.length) {
    return html`<${Empty} title="No tables"><p>run.log_row("errors", kind="blur", count=3) adds a row to one.</p><//>`;
  }
  /** @param {typeof Table} Part @returns {(metric: string) => Drawn} */
  const section = (Part) => (metric) =>
    html`
    <${Section} key=${metric} title=${html`<bdi>${metric}</bdi>`}><${Part} path=${path} metric=${metric} /><//>
  `;
  return html`${data.documents.map(section(Document))} ${data.tables.map(section(Table))}`;
}
