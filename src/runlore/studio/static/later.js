// Parts of pages that are loaded when they are first shown.

import { html, signal } from "./vendor/preact@11.2.0/preact.js";
import { Wrong } from "./parts.js";

/**
 * A component that another module has, which is loaded when it is first drawn, or by `load`.
 * @param {() => Promise<any>} find gives the component
 */
export function later(find) {
  const found = signal({});
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
