// The fields that charts of runs show, and how one chooses them.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { isSampled } from "../format.js";
import { change } from "../view.js";

/** The values of a field, of each run. @returns {any[]} */
export const valuesOf = (data, field) => data.data[data.columns.indexOf(field)] ?? [];

/** The fields that some of the runs have. */
export const known = (data) => data.columns.filter((field) => valuesOf(data, field).some((value) => value !== null));

/** The fields that are shown without being chosen: not those that were sampled of the machine. */
export const usual = (fields) => fields.filter((field) => field !== "status" && !isSampled(field));

/** The chosen fields at their places, else those that are there by default. */
export const chosen = (cols, fields, defaults) =>
  defaults.map((field, place) => (fields.includes(cols?.[place]) ? cols[place] : field));

/** A list of fields for one place of `cols` in the address. */
export const FieldChoice = ({ label, fields, picked, place }) => html`
  <label>
    ${label}${" "}
    <select
      aria-label=${label}
      value=${picked[place]}
      onChange=${(event) => change({ cols: picked.map((field, n) => (n === place ? event.currentTarget.value : field)) })}
    >
      ${fields.map((field) => html`<option key=${field} value=${field} selected=${field === picked[place]}>${field}</option>`)}
    </select>
  </label>
`;
