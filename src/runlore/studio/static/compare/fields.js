// The fields that charts of runs show, and how one chooses them.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { isSampled } from "../format.js";
import { change } from "../view.js";

/** @import { RunColumns } from "answers" */

/** The values of a field, of each run. @param {RunColumns} data @param {string} field */
export const valuesOf = (data, field) => data.data[data.columns.indexOf(field)] ?? [];

/** The fields that some of the runs have. @param {RunColumns} data */
export const known = (data) => data.columns.filter((field) => valuesOf(data, field).some((value) => value !== null));

/**
 * The fields that are shown without being chosen: not those that were sampled of the machine.
 * @param {string[]} fields
 */
export const usual = (fields) => fields.filter((field) => field !== "status" && !isSampled(field));

/**
 * The chosen fields at their places, else those that are there by default.
 * @param {string[] | undefined} cols @param {string[]} fields @param {string[]} defaults
 */
export const chosen = (cols, fields, defaults) =>
  defaults.map((field, place) => fields.find((one) => one === cols?.[place]) ?? field);

/**
 * A list of fields for one place of `cols` in the address.
 * @param {{label: string, fields: string[], picked: string[], place: number}} props
 */
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
