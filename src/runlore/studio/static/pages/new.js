// A new run: code, experiment and target; then one watches it.

import { html, useEffect, useState } from "../vendor/preact@11.2.0/preact.js";
import { asError, send, useAnswer } from "../api.js";
import { isEditor, mayChange, workspace } from "../me.js";
import { Code, Empty } from "../parts.js";
import { change, go, to, view } from "../view.js";

/** @import { RunRows, Target } from "answers" */
/** @import { On } from "../vendor/preact@11.2.0/preact.js" */

const EARLIER_MAX = 200;
const SUBMIT = `runlore run submit-script -w lab -e vision train.py --lr 0.1`;

export function NewRun() {
  if (!workspace.value) return html`<p class="muted">Loading…</p>`;
  if (!mayChange.value) {
    return html`
      <${Empty} title=${isEditor.value ? "The past cannot be changed" : "This token may only look"}>
        ${
          isEditor.value
            ? html`<button onClick=${() => change({ asof: null })}>Back to now</button>`
            : html`<p>To submit runs, open the Studio with the token of an editor: <code>RUNLORE_STUDIO_TOKEN</code>.</p>`
        }
      <//>
    `;
  }
  return html`<h1>New run</h1><${Form} />`;
}

function Form() {
  const asked = view.value.runs?.[0] ?? null; // The run that is to be repeated, if one was chosen.
  const earlier = useAnswer("runs", {
    f: 'type = "azureml.scriptrun"',
    children: true,
    limit: EARLIER_MAX,
    cols: ["script", "target"],
  }).value.data;
  const [fromFolder, setFromFolder] = useState(false);
  const [repeats, setRepeats] = useState(asked);
  const [problem, setProblem] = useState(/** @type {Error | null} */ (null));
  const [busy, setBusy] = useState(false);
  const chosen = repeats ?? earlier?.ids[0] ?? null;
  const own = Boolean(workspace.value?.is_owner);
  const hasEarlier = Boolean(chosen);
  const folder = own && (fromFolder || !hasEarlier);
  if (!earlier) return html`<p class="muted">Loading…</p>`;
  if (!own && !hasEarlier) {
    return html`
      <${Empty} title="No submitted run yet">
        <p>One that was submitted can be submitted again here, with other arguments. The first one comes from a shell:</p>
        <${Code}>${SUBMIT}<//>
      <//>
    `;
  }
  /** @param {On<SubmitEvent, HTMLFormElement>} event */
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    /** @param {string} name */
    const given = (name) => form.get(name) || undefined;
    setBusy(true);
    setProblem(null);
    try {
      const code = folder
        ? { folder: given("folder"), script: given("script"), run_configuration: given("configuration") }
        : { repeats: chosen };
      const { id } = await send("POST", "submissions", {
        ...code,
        experiment: given("experiment"),
        target: given("target"),
        arguments: form.get("arguments") ?? undefined,
      });
      go({ page: "run", run: id, tab: "logs" });
    } catch (error) {
      setProblem(asError(error));
      setBusy(false);
    }
  };
  return html`
    <form class="form new-run" onSubmit=${submit}>
      ${
        own && hasEarlier
          ? html`
            <fieldset>
              <legend>Code</legend>
              <label class="check"><input type="radio" name="code" checked=${!folder} onChange=${() => setFromFolder(false)} /> the snapshot of an earlier run</label>
              <label class="check"><input type="radio" name="code" checked=${folder} onChange=${() => setFromFolder(true)} /> a folder of this machine</label>
            </fieldset>
          `
          : ""
      }
      ${folder ? html`<${Folder} />` : html`<${Earlier} key=${chosen} earlier=${earlier} chosen=${chosen} choose=${setRepeats} />`}
      ${problem ? html`<p class="wrong" role="alert">${problem.message}</p>` : ""}
      <div class="bar"><button type="submit" class="primary" disabled=${busy}>${busy ? "Submitting…" : "Submit"}</button></div>
    </form>
  `;
}

function Folder() {
  return html`
    <label class="field">Folder <input name="folder" required autocomplete="off" spellcheck=${false} placeholder="/home/me/project" /></label>
    <p class="muted">The run executes in a copy of it.</p>
    <label class="field">Script in it <input name="script" autocomplete="off" spellcheck=${false} placeholder="train.py" /></label>
    <label class="field">Runconfig in its .azureml <input name="configuration" autocomplete="off" placeholder="none" /></label>
    <label class="field">Arguments <input name="arguments" autocomplete="off" spellcheck=${false} placeholder="--lr 0.1" /></label>
    <${Place} />
  `;
}

/** @param {{earlier: RunRows, chosen: string, choose: (id: string) => void}} props */
function Earlier({ earlier, chosen, choose }) {
  const { data } = useAnswer(`runs/${encodeURIComponent(chosen)}/definition`, {}, { runs: [chosen] }).value;
  const held = data?.definition;
  const ids = earlier.ids.includes(chosen) ? earlier.ids : [chosen, ...earlier.ids];
  /** @param {string} id */
  const label = (id) => {
    const n = earlier.ids.indexOf(id);
    return n < 0 ? id : `${earlier.experiments[n]} ${earlier.numbers[n]}: ${earlier.names[n]}`;
  };
  return html`
    <label class="field">Earlier run
      <select value=${chosen} onChange=${(event) => choose(event.currentTarget.value)}>
        ${ids.map((id) => html`<option value=${id}>${label(id)}</option>`)}
      </select>
    </label>
    ${data && !held ? html`<p class="wrong" role="alert">This run was not submitted, so there is no script to execute again. Choose another one.</p>` : ""}
    ${
      held
        ? html`
          <p>
            Executes <code>${held.command ?? held.script}</code> of the <a href=${to({ page: "run", run: chosen })}>run</a>'s
            snapshot${held.processes > 1 ? ` in ${held.processes} processes` : ""}.
            ${
              held.secrets.length
                ? html` It needs <bdi>${held.secrets.join(", ")}</bdi>, whose values are kept nowhere: the Studio's own environment must have them.`
                : ""
            }
          </p>
          ${
            held.script
              ? html`<label class="field">Arguments <input name="arguments" autocomplete="off" spellcheck=${false} defaultValue=${held.arguments} /></label>`
              : ""
          }
          <${Place} experiment=${data.experiment} target=${data.target} />
        `
        : ""
    }
  `;
}

/** Where the run belongs, and where it executes. @param {{experiment?: string, target?: string | null}} props */
function Place({ experiment, target }) {
  const known = useAnswer("experiments", {}, { runs: [""] }).value.data?.experiments ?? [];
  const targets = useAnswer("targets", {}).value.data?.targets;
  const [place, setPlace] = useState(target ?? "local");
  useEffect(() => setPlace(target ?? "local"), [target]);
  /** @param {Target} target */
  const free = ({ slots, executing, waiting }) =>
    slots === null
      ? "no limit"
      : waiting
        ? `${waiting} waiting`
        : `${Math.max(0, slots - executing.length)} of ${slots} slots free`;
  return html`
    <label class="field">Experiment
      <input name="experiment" required maxlength="500" autocomplete="off" list="experiments" defaultValue=${experiment ?? ""} />
    </label>
    <datalist id="experiments">${known.map(({ name }) => html`<option value=${name}></option>`)}</datalist>
    ${
      targets
        ? html`
          <label class="field">Target
            <select name="target" value=${place} onChange=${(event) => setPlace(event.currentTarget.value)}>
              ${targets.map((one) => html`<option value=${one.name}>${one.name} (${free(one)})</option>`)}
            </select>
          </label>
        `
        : ""
    }
  `;
}
