// The selected runs, and what can be done with all of them at once.

import { html, signal, useState } from "./vendor/preact@11.2.0/preact.js";
import { send } from "./api.js";
import { Dialog, FormDialog } from "./dialog.js";
import { mayChange } from "./me.js";
import { change, to, view } from "./view.js";

/** The names of the selected runs by their ids, in the order of selection. */
export const selected = signal(new Map());

export function toggle(id, name) {
  const next = new Map(selected.value);
  if (next.has(id)) next.delete(id);
  else next.set(id, name);
  selected.value = next;
}

/** @param {[string, string][]} runs ids and names */
export function select(runs) {
  selected.value = new Map([...selected.value, ...runs]);
}

export const selectNone = () => {
  selected.value = new Map();
};

/** What is done with the selected runs; the keys `e` and `b` press the buttons of these ids. */
export function Selection() {
  const [open, setOpen] = useState(null);
  const [told, tell] = useState(null);
  const ids = [...selected.value.keys()];
  const bulk = async (change) => {
    const answer = await send("POST", "bulk", { ids, ...change });
    tell(answer);
  };
  const { pin } = view.value;
  return html`
    ${told ? html`<${Told} answer=${told} onClose=${() => tell(null)} />` : ""}
    ${ids.length
      ? html`
          <div class="bar selection" role="toolbar" aria-label="Selected runs">
            <b>${ids.length} selected</b>
            <a class="button" id="compare" href=${to({ page: "compare", runs: ids })}>Compare ${ids.length}</a>
            ${ids.length === 1
              ? html`
                  <button id="pin" onClick=${() => change({ pin: pin === ids[0] ? null : ids[0] })}>
                    ${pin === ids[0] ? "No baseline" : "As baseline"}
                  </button>
                `
              : ""}
            ${mayChange.value
              ? html`
                  <button id="tag" onClick=${() => setOpen("tag")}>Tag…</button>
                  <button onClick=${() => setOpen("archive")}>Archive…</button>
                  <button onClick=${() => setOpen("cancel")}>Cancel…</button>
                `
              : ""}
            <button class="quiet" onClick=${selectNone}>None</button>
          </div>
        `
      : ""}
    ${open === "tag" ? html`<${TagDialog} count=${ids.length} bulk=${bulk} onClose=${() => setOpen(null)} />` : ""}
    ${open === "archive" || open === "cancel"
      ? html`<${SureDialog} of=${open} count=${ids.length} bulk=${bulk} onClose=${() => setOpen(null)} />`
      : ""}
  `;
}

const runs = (count) => (count === 1 ? "1 run" : `${count} runs`);

function TagDialog({ count, bulk, onClose }) {
  const [remove, setRemove] = useState(false);
  const save = (form) =>
    bulk({
      op: remove ? "untag" : "tag",
      key: form.get("key"),
      value: remove ? undefined : form.get("value") || null,
    });
  return html`
    <${FormDialog} title=${`Tag ${runs(count)}`} action=${remove ? "Remove" : "Tag"} onSubmit=${save} onClose=${onClose}>
      <label class="field">Key <input name="key" required autocomplete="off" /></label>
      <label class="field">
        Value <input name="value" autocomplete="off" disabled=${remove} placeholder="none: a tag with a key only" />
      </label>
      <label class="check">
        <input type="checkbox" checked=${remove} onChange=${() => setRemove(!remove)} /> remove the tag of this key
      </label>
    <//>
  `;
}

const SURE = {
  archive: ["Archive", "They leave the lists, and come back with the filter archived = true and Bring back."],
  cancel: ["Cancel runs", "Their processes are asked to stop, and then killed. Runs that have ended refuse it."],
};

function SureDialog({ of, count, bulk, onClose }) {
  const [action, consequence] = SURE[of];
  const archived = of === "archive";
  return html`
    <${FormDialog}
      title=${`${archived ? "Archive" : "Cancel"} ${runs(count)}?`}
      action=${action}
      onSubmit=${(form) => bulk({ op: form.get("back") ? "reactivate" : of, reason: form.get("reason") || undefined })}
      onClose=${onClose}
    >
      <p>${consequence}</p>
      ${archived
        ? html`<label class="check"><input type="checkbox" name="back" value="1" /> bring archived ones back instead</label>`
        : html`<label class="field">Reason <input name="reason" autocomplete="off" placeholder="recorded with the change" /></label>`}
    <//>
  `;
}

/** What became of a change of many runs: how many, and which ones refused it. */
function Told({ answer, onClose }) {
  const { done, refused } = answer;
  if (!refused.length) {
    return html`
      <p class="told" role="status">
        ${runs(done.length)} changed. <button class="quiet" onClick=${onClose}>Close</button>
      </p>
    `;
  }
  return html`
    <${Dialog} title=${`${runs(done.length)} changed, ${refused.length} refused`} onClose=${onClose} wide>
      <table class="plain">
        <thead><tr><th scope="col">Run</th><th scope="col">Why not</th></tr></thead>
        <tbody>
          ${refused.map(
            (one) => html`
              <tr key=${one.id}>
                <td><bdi>${selected.value.get(one.id) ?? one.id}</bdi></td>
                <td class="wrap">${one.detail}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    <//>
  `;
}
