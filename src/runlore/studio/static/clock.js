// The passing of time: relative times and the durations of active runs go on while one looks.

import { signal } from "./vendor/preact@11.2.0/preact.js";

const TICK_MS = 1000;

/** The present in milliseconds; another one each second. */
export const now = signal(Date.now());

setInterval(() => {
  if (document.visibilityState === "visible") now.value = Date.now();
}, TICK_MS);
