// One change of many runs: what is asked before, how far it is, and which runs refused it.

import { html, useRef, useState } from "../vendor/preact@11.2.0/preact.js";
import { send } from "../api.js";
import { Dialog, FormDialog } from "../dialog.js";
import { runsOf } from "../format.js";

/** @import { Refusal } from "answers" */
/**
 * Runs: those of some ids, or those that match as of a position.
 * @typedef {{ids: string[], position?: undefined}
 *   | {ids?: undefined, position: number, f?: string, q?: string, experiment?: string, children: boolean}} Which
 * @typedef {{done: number, refused: Refusal[], total: number | null}} Far how far a change is
 * @typedef {"tag" | "archive" | "cancel"} Change
 */

const AT_ONCE = 200;
const REFUSED_SHOWN = 500;

/**
 * Changes runs a part at a time. `which` is {ids}, or a question with the position as of which
 * runs match it. `step` is told how far it is, and says whether to go on.
 * @param {Which} which @param {object} content @param {(far: Far) => boolean} step
 */
async function changed(which, content, step) {
  /** @type {Far} */
  const told = { done: 0, refused: [], total: which.ids?.length ?? null };
  for (let offset = 0; told.total === null || offset < told.total; offset += AT_ONCE) {
    const part = which.ids
      ? { ids: which.ids.slice(offset, offset + AT_ONCE) }
      : { matching: { ...which, offset, limit: AT_ONCE } };
    const answer = await send("POST", "bulk", { ...part, ...content });
    told.total ??= answer.total;
    told.done += answer.done.length;
    told.refused.push(...answer.refused);
    if (!step(told)) break;
  }
  return told;
}

/** @param {{of: Change, count: number, which: Which, tell: (far: Far) => void, onClose: () => void}} props */
export function BulkDialog({ of, count: shown, which: shownOnes, tell, onClose }) {
  const [remove, setRemove] = useState(false);
  const [{ count, which }] = useState({ count: shown, which: shownOnes }); // Those that were counted.
  const [far, setFar] = useState(/** @type {number | null} */ (null));
  const isOver = useRef(false);
  const over = () => {
    isOver.current = true; // What is asked for already is still done.
    onClose();
  };
  /** @param {FormData} form */
  const submit = async (form) => {
    const told = await changed(which, contentOf(of, form, remove), (now) => {
      setFar(now.done + now.refused.length);
      return !isOver.current;
    });
    tell(told);
  };
  const [title, action] = {
    tag: [`Tag ${runsOf(count)}`, remove ? "Remove" : "Tag"],
    archive: [`Archive ${runsOf(count)}?`, "Archive"],
    cancel: [`Cancel ${runsOf(count)}?`, "Cancel runs"],
  }[of];
  return html`
    <${FormDialog} title=${title} action=${action} onSubmit=${submit} onClose=${over}>
      ${FIELDS[of]({ remove, setRemove })}
      ${
        far === null || count <= AT_ONCE
          ? ""
          : html`<p role="status"><progress value=${far} max=${count}></progress> ${far.toLocaleString("en-US")} of ${runsOf(count)}</p>`
      }
    <//>
  `;
}

/** @param {Change} of @param {FormData} form @param {boolean} remove */
function contentOf(of, form, remove) {
  if (of !== "tag") return { op: form.get("back") ? "reactivate" : of, reason: form.get("reason") || undefined };
  return {
    op: remove ? "untag" : "tag",
    key: form.get("key"),
    value: remove ? undefined : form.get("value") || null,
  };
}

const FIELDS = {
  /** @param {{remove: boolean, setRemove: (remove: boolean) => void}} props */
  tag: ({ remove, setRemove }) => html`
    <label class="field">Key <input name="key" required autocomplete="off" /></label>
    <label class="field">
      Value <input name="value" autocomplete="off" disabled=${remove} placeholder="none: a tag with a key only" />
    </label>
    <label class="check">
      <input type="checkbox" checked=${remove} onChange=${() => setRemove(!remove)} /> remove the tag of this key
    </label>
  `,
  archive: () => html`
    <p>They leave the lists, and come back with the filter archived = true and Bring back.</p>
    <label class="check"><input type="checkbox" name="back" value="1" /> bring archived ones back instead</label>
  `,
  cancel: () => html`
    <p>Their processes are asked to stop, and then killed. Runs that have ended refuse it.</p>
    <label class="field">Reason <input name="reason" autocomplete="off" placeholder="recorded with the change" /></label>
  `,
};

/**
 * What became of a change of many runs: how many, and which ones refused it.
 * @param {{answer: Far, onClose: () => void}} props
 */
export function Told({ answer, onClose }) {
  const { done, refused, total } = answer;
  const left = (total ?? done) - done - refused.length;
  const rest = left ? ` ${runsOf(left)} were left as they are.` : "";
  if (!refused.length) {
    return html`
      <p class="told" role="status">
        ${runsOf(done)} changed.${rest} <button class="quiet" onClick=${onClose}>Close</button>
      </p>
    `;
  }
  return html`
    <${Dialog} title=${`${runsOf(done)} changed, ${refused.length.toLocaleString("en-US")} refused`} onClose=${onClose} wide>
      ${rest ? html`<p>${rest}</p>` : ""}
      <table class="plain">
        <thead><tr><th scope="col">Run</th><th scope="col">Why not</th></tr></thead>
        <tbody>
          ${refused.slice(0, REFUSED_SHOWN).map(
            (one) => html`
              <tr key=${one.id}>
                <td><bdi>${one.name}</bdi></td>
                <td class="wrap">${one.detail}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
      ${refused.length > REFUSED_SHOWN ? html`<p class="muted">The first ${REFUSED_SHOWN} of them.</p>` : ""}
    <//>
  `;
}
