// The button that saves the present address under a name.

import { html, useState } from "./vendor/preact@11.2.0/preact.js";
import { send } from "./api.js";
import { FormDialog } from "./dialog.js";
import { mayChange } from "./me.js";
import { change, inPath, view, write } from "./view.js";

export function SaveView() {
  const [open, setOpen] = useState(false);
  const { v, page } = view.value;
  if (page === "views" || page === "new") return "";
  /** @param {FormData} form */
  const save = async (form) => {
    const name = String(form.get("name")).trim();
    await send("PUT", `views/${inPath(name)}`, { url: write({ ...view.value, v: null }, "") });
    change({ v: name }, { replace: true });
  };
  return html`
    ${v ? html`<span class="chip" title="This view is saved under a name">☆ <bdi>${v}</bdi></span>` : ""}
    ${mayChange.value ? html`<button onClick=${() => setOpen(true)}>Save view</button>` : ""}
    ${
      open
        ? html`
          <${FormDialog} title="Save this view" action="Save" onSubmit=${save} onClose=${() => setOpen(false)}>
            <label class="field">
              Name
              <input name="name" required maxlength="500" autocomplete="off" defaultValue=${v ?? ""} />
            </label>
            <p class="muted">
              Everybody who uses the workspace finds it on the page Views, and by its address.
              A view of that name is replaced.
            </p>
          <//>
        `
        : ""
    }
  `;
}
