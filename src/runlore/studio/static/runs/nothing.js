// Nothing is in the list of runs: why, and what to do about it.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { useAnswer } from "../api.js";
import { Before } from "../before.js";
import { runsOf } from "../format.js";
import { Empty } from "../parts.js";
import { asof, change, to } from "../view.js";

/** @import { Condition } from "answers" */
/** @import { Question } from "../selection.js" */

/** @param {{question: Question}} props */
export function NoRuns({ question }) {
  if (question.q || question.f) return html`<${NoMatch} question=${question} />`;
  if (asof.value !== null) {
    return html`<${Before} title="There was no run at that time" experiment=${question.experiment} />`;
  }
  return html`
    <${Empty} title="No run yet">
      <p>It appears here when a script starts one, or <a href=${to({ page: "new" })}>submit one</a>.</p>
    <//>
  `;
}

/**
 * The conditions, the one first that leaves out most runs, each with a button that drops it.
 * @param {{question: Question}} props
 */
function NoMatch({ question }) {
  const { q, f, experiment, tree } = question;
  const { data } = useAnswer("conditions", { q, f, experiment, children: Boolean(tree) }).value;
  if (!data) return html`<${Empty} title="No run matches" />`;
  const { conditions, below } = data;
  return html`
    <${Empty} title="No run matches">
      <p>${inWords(conditions)}</p>
      <ul class="conditions">
        ${conditions.map(
          (one) => html`
            <li key=${one.text}>
              <button onClick=${() => change({ f: one.f, q: one.q })} aria-label=${`Drop ${one.text}`}>Drop</button>
              <code><bdi>${one.text}</bdi></code>
              <span class="muted">
                ${one.without ? `${runsOf(one.without)} without it` : one.alone ? "" : "no run has this at all"}
              </span>
            </li>
          `,
        )}
      </ul>
      ${conditions.length > 1 ? html`<p><button onClick=${() => change({ f: null, q: null })}>Drop all</button></p>` : ""}
      ${
        !tree && below
          ? html`<p>
            ${below === 1 ? "A run below another one matches." : `${runsOf(below)} below others match.`}${" "}
            <button onClick=${() => change({ tree: true })}>Show children</button>
          </p>`
          : ""
      }
    <//>
  `;
}

/** @param {Condition[]} conditions */
function inWords(conditions) {
  const [first] = conditions;
  if (conditions.length === 1) return "One condition leaves out all runs:";
  return first.without
    ? "The first condition leaves out most runs:"
    : "Without any single one of them no run matches either:";
}
