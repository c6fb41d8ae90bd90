// Parts of pages that are loaded when they are first shown.

import { html, signal } from "./vendor/preact@11.2.0/preact.js";
import { Wrong } from "./parts.js";

/** @import { Drawn, Signal } from "./vendor/preact@11.2.0/preact.js" */

/**
 * A component that another module has, which is loaded when it is first drawn, or by `load`.
 * @template {object} Props
 * @param {() => Promise<(props: Props) => Drawn>} find gives the component
 */
export function later(find) {
  /** @type {Signal<{part?: (props: Props) => Drawn, error?: Error}>} */
  const found = signal({});
  /** @type {Promise<unknown> | null} */
  let asking = null;
  const load = () => {
    asking ??= find().then(
      (part) => (found.value = { part }),
      (error) => {
        asking = null; // The next time it is drawn it may be there.
        found.value = { error };
      },
    );
    return asking;
  };
  /** @param {Props} props */
  function Later(props) {
    const { part: Part, error } = found.value;
    if (Part) return html`<${Part} ...${props} />`;
    if (error) return html`<${Wrong} error=${error} />`;
    load();
    return html`<p class="muted">Loading…</p>`;
  }
  Later.load = load;
  return Later;
}
