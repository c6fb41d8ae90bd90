// What can be done with a run: its tags in place, name and description, cancel, submit again.

import { html, useState } from "./vendor/preact@11.2.0/preact.js";
import { asError, send, useAnswer } from "./api.js";
import { FormDialog } from "./dialog.js";
import { ago } from "./format.js";
import { COLOUR, ColourField, STAR } from "./marks.js";
import { mayChange } from "./me.js";
import { mayCancel } from "./parts.js";
import { go, to, view } from "./view.js";

/** @import { Run } from "answers" */
/** @import { Problem } from "./api.js" */
/** @import { On } from "./vendor/preact@11.2.0/preact.js" */
/** @typedef {(Error & Partial<Problem>) | null} Wrong */

const FIELDS = [STAR, COLOUR];

/**
 * The buttons of a run's head; the keys `[`, `]` and `e` press those of these ids.
 * @param {{data: Run, path: string}} props
 */
export function RunActions({ data, path }) {
  const [problem, setProblem] = useState(/** @type {Wrong} */ (null));
  const [edits, setEdits] = useState(false);
  /** @param {() => Promise<unknown>} change */
  const attempt = async (change) => {
    try {
      await change();
      setProblem(null);
    } catch (error) {
      setProblem(asError(error));
    }
  };
  const cancel = () => attempt(() => send("POST", `${path}/cancel`));
  const again = () =>
    attempt(async () => {
      const { id } = await send("POST", `${path}/resubmit`);
      go({ page: "run", run: id, tab: "logs" });
    });
  return html`
    <${Neighbours} data=${data} />
    ${
      mayChange.value
        ? html`
          <button id="tag" onClick=${() => setEdits(true)}>Edit</button>
          ${
            data.submitted
              ? html`
                <button onClick=${again} title="The same snapshot, arguments and target">Submit again</button>
                <a class="button" href=${to({ page: "new", runs: [data.id] })}>…with changes</a>
              `
              : ""
          }
          ${mayCancel(data.status) ? html`<button onClick=${cancel}>Cancel</button>` : ""}
        `
        : ""
    }
    ${problem ? html`<${Refused} problem=${problem} />` : ""}
    ${edits ? html`<${EditDialog} data=${data} path=${path} onClose=${() => setEdits(false)} />` : ""}
  `;
}

/** Why a change was refused, and who made the run what it is. @param {{problem: Error & Partial<Problem>}} props */
export const Refused = ({ problem }) => html`
  <p class="wrong" role="alert">
    ${problem.message}
    ${problem.by ? html` <span class="muted">(<bdi>${problem.what}</bdi> by <bdi>${problem.by}</bdi> ${ago(problem.at ?? null)})</span>` : ""}
  </p>
`;

/** The runs before and after this one in its experiment. @param {{data: Run}} props */
function Neighbours({ data }) {
  const { number, experiment, id } = data;
  const params = {
    experiment,
    f: `number >= ${number - 1} and number <= ${number + 1}`,
    children: true,
    sort: "number",
    limit: 3,
    cols: ["number"],
  };
  const found = useAnswer("runs", params, { runs: [id] }).value.data;
  /** @param {number} wanted */
  const at = (wanted) => found?.ids[found.numbers.indexOf(wanted)];
  const { tab } = view.value;
  /** @param {string | undefined} run @param {string} key @param {string} name @param {string} sign */
  const link = (run, key, name, sign) =>
    run
      ? html`<a class="button" id=${key} href=${to({ page: "run", run, tab })} aria-label=${name} title=${name}>${sign}</a>`
      : "";
  return html`${link(at(number - 1), "previous", "Previous run", "‹")}${link(at(number + 1), "next", "Next run", "›")}`;
}

/** @param {{data: Run, path: string, onClose: () => void}} props */
function EditDialog({ data, path, onClose }) {
  const own = Object.entries(data.tags ?? {}).filter(([key]) => !FIELDS.includes(key)); // Those have fields of their own.
  const [tags, setTags] = useState(own.map(([key, value]) => ({ key, value: value ?? "" })));
  /** @param {number} n @param {{key?: string, value?: string}} change */
  const put = (n, change) => setTags(tags.map((tag, at) => (at === n ? { ...tag, ...change } : tag)));
  /** @param {FormData} form */
  const save = (form) => {
    const wanted = new Map(tags.filter(({ key }) => key).map(({ key, value }) => [key, value || null]));
    const held = new Map(own);
    if (data.tags?.[COLOUR] !== undefined) held.set(COLOUR, data.tags[COLOUR]);
    if (form.get("colour")) wanted.set(COLOUR, String(form.get("colour")));
    const changed = [...wanted].filter(([key, value]) => !held.has(key) || held.get(key) !== value);
    const removed = [...held.keys()].filter((key) => !wanted.has(key));
    const name = form.get("name");
    const description = form.get("description");
    return send("PATCH", path, {
      ...(name !== data.name ? { display_name: name } : {}),
      ...(description !== (data.description ?? "") ? { description } : {}),
      ...(changed.length ? { set_tags: Object.fromEntries(changed) } : {}),
      ...(removed.length ? { remove_tags: removed } : {}),
    });
  };
  return html`
    <${FormDialog} title="Edit the run" action="Save" onSubmit=${save} onClose=${onClose}>
      <label class="field">Name <input name="name" required maxlength="256" autocomplete="off" defaultValue=${data.name} /></label>
      <label class="field">Description <textarea name="description" rows="3" defaultValue=${data.description ?? ""}></textarea></label>
      <${ColourField} value=${data.tags?.[COLOUR]} />
      <fieldset>
        <legend>Tags</legend>
        ${tags.map(
          ({ key, value }, n) => html`
            <div class="tag-row" key=${n}>
              <input aria-label="Key" autocomplete="off" value=${key} onInput=${(event) => put(n, { key: event.currentTarget.value })} />
              <input aria-label=${`Value of ${key}`} autocomplete="off" value=${value} onInput=${(event) => put(n, { value: event.currentTarget.value })} />
              <button type="button" class="quiet" aria-label=${`Remove ${key}`} onClick=${() => setTags(tags.filter((_, at) => at !== n))}>✕</button>
            </div>
          `,
        )}
        <button type="button" class="quiet" onClick=${() => setTags([...tags, { key: "", value: "" }])}>+ Tag</button>
      </fieldset>
    <//>
  `;
}

/** Gives an element the focus when it comes. @param {HTMLElement | null} element */
const focus = (element) => element?.focus();

/** The tags of a run, each changed where it stands. @param {{data: Run, path: string}} props */
export function Tags({ data, path }) {
  const [edited, setEdited] = useState(/** @type {string | null} */ (null));
  const [problem, setProblem] = useState(/** @type {Wrong} */ (null));
  const entries = Object.entries(data.tags ?? {});
  /** @param {On<SubmitEvent, HTMLFormElement>} event @param {string} key */
  const save = async (event, key) => {
    event.preventDefault();
    const value = new FormData(event.currentTarget).get("value");
    try {
      await send("PATCH", path, { set_tags: { [key]: value || null } });
      setEdited(null);
      setProblem(null);
    } catch (error) {
      setProblem(asError(error));
    }
  };
  return html`
    ${problem ? html`<${Refused} problem=${problem} />` : ""}
    ${
      entries.length
        ? html`
          <dl class="facts">
            ${entries.map(
              ([key, value]) => html`
                <div key=${key}>
                  <dt><bdi>${key}</bdi></dt>
                  <dd>
                    ${
                      edited === key
                        ? html`
                          <form class="tag-form" onSubmit=${(/** @type {On<SubmitEvent, HTMLFormElement>} */ event) => save(event, key)}>
                            <input name="value" aria-label=${`Value of ${key}`} autocomplete="off" defaultValue=${value ?? ""} ref=${focus}
                              onKeyDown=${(event) => event.key === "Escape" && setEdited(null)} />
                            <button type="submit">Save</button>
                          </form>
                        `
                        : html`<bdi>${value ?? ""}</bdi>
                          ${
                            mayChange.value
                              ? html`<button class="quiet edit" aria-label=${`Change ${key}`} onClick=${() => setEdited(key)}></button>`
                              : ""
                          }`
                    }
                  </dd>
                </div>
              `,
            )}
          </dl>
        `
        : html`<p class="muted">${mayChange.value ? "Edit adds some, as run.tag(…) does." : "run.tag(…) adds one."}</p>`
    }
  `;
}
