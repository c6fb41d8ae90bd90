// Numbers in columns: their points stand below each other.

import { html } from "./vendor/preact@11.2.0/preact.js";
import { atPoint } from "./format.js";

/**
 * How many characters the numbers of a column have from their points on, at most. The column's
 * cells have it as `--places`.
 * @param {unknown[]} values
 */
export const placesOf = (values) => Math.max(0, ...values.map((value) => atPoint(value)[1].length));

/** @param {{value: number}} props */
export function Figure({ value }) {
  const [whole, rest] = atPoint(value);
  return html`<span title=${String(value)}>${whole}<span class="places">${rest}</span></span>`;
}
