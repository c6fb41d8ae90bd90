// The views that were saved: addresses under names.

import { html, useState } from "../vendor/preact@11.2.0/preact.js";
import { asError, send, useAnswer } from "../api.js";
import { Empty, Time, Wrong } from "../parts.js";
import { mayChange } from "../me.js";
import { base, inPath, to, view } from "../view.js";

/** @import { SavedView } from "answers" */

export function Views() {
  const { missing } = view.value;
  const { data, error } = useAnswer("views", {}, { runs: [""] }).value;
  const [problem, setProblem] = useState(/** @type {Error | null} */ (null));
  if (error && !data) return html`<${Wrong} error=${error} />`;
  if (!data) return html`<p class="muted">Loading…</p>`;
  /** @param {string} name */
  const remove = async (name) => {
    try {
      await send("DELETE", `views/${inPath(name)}`);
      setProblem(null);
    } catch (error) {
      setProblem(asError(error));
    }
  };
  return html`
    <h1>Views</h1>
    ${missing ? html`<p class="wrong" role="alert">No view is saved as <bdi>${missing}</bdi>.</p>` : ""}
    ${problem ? html`<${Wrong} error=${problem} />` : ""}
    ${
      data.views.length
        ? html`<${Table} views=${data.views} remove=${remove} />`
        : html`
          <${Empty} title="No saved view yet">
            <p>
              Filter a <a href=${to({ page: "runs" })}>list of runs</a> or <a href=${to({ page: "compare" })}>compare</a>
              ${" "}some, and press <b>Save view</b>: a name then leads everybody to exactly that page.
            </p>
          <//>
        `
    }
  `;
}

/** @param {{views: SavedView[], remove: (name: string) => void}} props */
function Table({ views, remove }) {
  return html`
    <table class="plain wide">
      <thead>
        <tr>
          <th scope="col">View</th><th scope="col">Leads to</th><th scope="col">Saved</th><th scope="col">By</th>
          <th scope="col"><span class="hidden">Delete</span></th>
        </tr>
      </thead>
      <tbody>
        ${views.map(
          (one) => html`
            <tr key=${one.name}>
              <td>
                ${
                  one.url
                    ? html`<a href=${address(one.name, one.url)} title=${`${base}/v/${inPath(one.name)}`}><bdi>${one.name}</bdi></a>`
                    : html`<bdi>${one.name}</bdi>`
                }
              </td>
              <td><code title=${one.url}>${one.url ? shown(one.url) : "not a page"}</code></td>
              <td><${Time} at=${one.saved} /></td>
              <td><bdi>${one.by ?? ""}</bdi></td>
              <td>
                ${
                  mayChange.value
                    ? html`<button class="quiet" aria-label=${`Delete ${one.name}`} onClick=${() => remove(one.name)}>Delete</button>`
                    : ""
                }
              </td>
            </tr>
          `,
        )}
      </tbody>
    </table>
  `;
}

/** @param {string} name @param {string} url */
const address = (name, url) => `${base}${url}${url.includes("?") ? "&" : "?"}${new URLSearchParams({ v: name })}`;

/** An address as people read it. @param {string} url */
function shown(url) {
  try {
    return decodeURIComponent(url.replaceAll("+", " "));
  } catch {
    return url;
  }
}
