// The run that the pointer is on: in a list of runs, or at a curve. Each lights up in the other.

import { signal } from "./vendor/preact@11.2.0/preact.js";

/** @import { Signal } from "./vendor/preact@11.2.0/preact.js" */

/**
 * The id of the run whose row the pointer is on, or that has the focus; null if none.
 * @type {Signal<string | null>}
 */
export const pointed = signal(null);

/** The id of the run whose curve is nearest to the pointer; null if none. @type {Signal<string | null>} */
export const nearest = signal(null);
