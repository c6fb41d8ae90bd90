// The workspace that is served, and what the one who looks may do.

import { computed, signal } from "./vendor/preact@11.2.0/preact.js";
import { asof } from "./view.js";

/** @import { Workspace } from "answers" */
/** @import { Signal } from "./vendor/preact@11.2.0/preact.js" */

/** The answer of `/api/workspace`, which the frame asks for; null before. @type {Signal<Workspace | null>} */
export const workspace = signal(null);

export const isEditor = computed(() => workspace.value?.role === "editor");

/** Whether changes are offered: to editors, of the present. */
export const mayChange = computed(() => isEditor.value && asof.value === null);
