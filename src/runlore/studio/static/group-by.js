// By what the runs of a table are gathered.

import { html } from "./vendor/preact@11.2.0/preact.js";
import { change, view } from "./view.js";

const AGGREGATES = ["mean", "median", "min", "max", "sum", "std"];

/**
 * The fields by which runs are gathered: config and tags, then some attributes.
 * @param {string[] | undefined} fields
 */
const groupFields = (fields) => [
  ...(fields ?? []).filter((field) => /^(config|tags)\./.test(field)),
  ...["experiment", "status", "user", "host", "git_commit", "script"],
];

/** By what the runs are gathered, and what is shown of each group. @param {{fields: string[] | undefined}} props */
export function GroupBy({ fields }) {
  const { group, agg = "mean" } = view.value;
  const known = groupFields(fields);
  return html`
    <label>
      <span class="muted">Group</span>${" "}
      <select
        id="group"
        value=${group ?? ""}
        onChange=${(event) => change({ group: event.currentTarget.value, agg: null, tree: false })}
      >
        <option value="">by nothing</option>
        ${(group && !known.includes(group) ? [group, ...known] : known).map(
          (field) => html`<option value=${field}>${field}</option>`,
        )}
      </select>
    </label>
    ${
      group
        ? html`
          <select aria-label="Aggregate" value=${agg} onChange=${(event) => change({ agg: event.currentTarget.value })}>
            ${AGGREGATES.map((one) => html`<option value=${one}>${one}</option>`)}
          </select>
        `
        : ""
    }
  `;
}
