// The files of a run: previews, downloads, and one zip of all.

import { html, useState } from "../vendor/preact@11.2.0/preact.js";
import { address, useAnswer } from "../api.js";
import { bytes } from "../format.js";
import { fileAddress } from "../logged.js";
import { Markdown } from "../markdown.js";
import { Empty, Wrong } from "../parts.js";
import { asof, copy, inPath } from "../view.js";

/** @import { RunFile } from "answers" */

const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const CSV_ROWS = 200;

/** @param {{path: string, id: string}} props */
export function Files({ path, id }) {
  const { data } = useAnswer(`${path}/files`, {}).value;
  const [shown, show] = useState(/** @type {string | null} */ (null));
  if (!data) return html`<p class="muted">Loading…</p>`;
  if (!data.files.length) return html`<${Empty} title="No files"><p>run.upload_file(…) keeps one.</p><//>`;
  return html`
    ${
      copy
        ? ""
        : html`<div class="bar">
      <a class="button" href=${address(`${path}/files.zip`, { asof: asof.value })} download="files.zip">All as one zip</a>
    </div>`
    }
    <div class="scroll" tabindex="0" role="region" aria-label="Files">
      <table class="plain">
        <thead>
          <tr><th scope="col">File</th><th scope="col" class="number">Size</th><th scope="col">SHA-256</th><th scope="col">Preview</th></tr>
        </thead>
        <tbody>
          ${data.files.map(
            (file) => html`
              <tr key=${file.name}>
                <td>
                  ${
                    file.uri
                      ? html`<bdi dir="ltr">${file.name}</bdi> <span class="muted">at <bdi>${file.uri}</bdi></span>`
                      : copy && !copy.files[`runs/${id}/files/${file.name}`]
                        ? html`<bdi dir="ltr">${file.name}</bdi>`
                        : html`<a href=${fileAddress(path, file.name)} download><bdi dir="ltr">${file.name}</bdi></a>`
                  }
                </td>
                <td class="number">${bytes(file.nbytes)}</td>
                <td><code title=${file.sha256}>${file.sha256?.slice(0, 12)}</code></td>
                <td>
                  ${
                    file.uri
                      ? ""
                      : html`<button
                        class="quiet"
                        aria-pressed=${String(shown === file.name)}
                        aria-label=${`Preview ${file.name}`}
                        onClick=${() => show(shown === file.name ? null : file.name)}
                      >${shown === file.name ? "hide" : "show"}</button>`
                  }
                </td>
              </tr>
              ${
                shown === file.name
                  ? html`<tr key=${`${file.name} preview`}><td colspan="4"><${Preview} path=${path} file=${file} /></td></tr>`
                  : ""
              }
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

/** @param {{path: string, file: RunFile}} props */
function Preview({ path, file }) {
  if (IMAGES.includes(file.type ?? ""))
    return html`<img class="preview" src=${fileAddress(path, file.name)} alt=${file.name} />`;
  return html`<${Text} path=${path} name=${file.name} />`;
}

/** @param {{path: string, name: string}} props */
function Text({ path, name }) {
  const { data, error } = useAnswer(`${path}/text/${inPath(name)}`, {}, { runs: [] }).value;
  if (error) return html`<${Wrong} error=${error} />`;
  if (!data) return html`<p class="muted">Loading…</p>`;
  const rows = /\.(csv|tsv)$/i.test(name) ? csv(data.text, name.toLowerCase().endsWith("tsv") ? "\t" : ",") : null;
  if (data.markdown) return html`<div class="preview"><${Markdown} tree=${data.markdown} /></div>`;
  return html`
    ${rows ? html`<${Rows} rows=${rows} name=${name} />` : html`<pre class="code preview" tabindex="0" role="region" aria-label=${name}>${data.text}</pre>`}
    ${data.is_whole ? "" : html`<p class="muted">Only its beginning.</p>`}
  `;
}

/** @param {{rows: string[][], name: string}} props */
const Rows = ({ rows, name }) => html`
  <div class="scroll preview" tabindex="0" role="region" aria-label=${name}>
    <table class="plain">
      <tbody>
        ${rows.slice(0, CSV_ROWS).map((row) => html`<tr>${row.map((cell) => html`<td><bdi>${cell}</bdi></td>`)}</tr>`)}
      </tbody>
    </table>
    ${rows.length > CSV_ROWS ? html`<p class="muted">The first ${CSV_ROWS} rows.</p>` : ""}
  </div>
`;

/** The rows of a CSV text (RFC 4180). @param {string} text @param {string} comma */
export function csv(text, comma = ",") {
  /** @type {string[]} */
  let row = [];
  const rows = [row];
  let cell = "";
  let quoted = false;
  for (let n = 0; n < text.length; n += 1) {
    const char = text[n];
    if (quoted) {
      if (char !== '"') cell += char;
      else if (text[n + 1] === '"') cell += text[(n += 1)];
      else quoted = false;
    } else if (char === '"' && cell === "") quoted = true;
    else if (char === comma) {
      row.push(cell);
      cell = "";
    } else if (char === "\n") {
      row.push(cell.replace(/\r$/, ""));
      rows.push((row = []));
      cell = "";
    } else cell += char;
  }
  if (cell !== "" || row.length) row.push(cell);
  return rows.filter((one) => one.length);
}
