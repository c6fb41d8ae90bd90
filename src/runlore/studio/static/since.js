// What changed since the moment that is shown.

import { html } from "./vendor/preact@11.2.0/preact.js";
import { ask } from "./api.js";
import { later } from "./later.js";
import { asof, change, view } from "./view.js";

const Changes = later(async () => (await import("./changes.js")).Changes);

const DAY_MS = 86_400_000;

/** The workspace as it was a day ago, with what has changed since. */
export async function showYesterday() {
  const { position } = await ask("position", { at: new Date(Date.now() - DAY_MS).toISOString() });
  change({ asof: position, since: true });
}

/** A button, and below it the net changes from the shown moment to now. */
export function Since() {
  const isOpen = Boolean(view.value.since);
  return html`
    <button class="quiet" aria-expanded=${String(isOpen)} onClick=${() => change({ since: !isOpen }, { replace: true })}>
      What changed since
    </button>
    ${isOpen ? html`<${Changes} from=${asof.value} run=${view.value.run} />` : ""}
  `;
}
