// What changes now: one stream for all tabs, read by a worker that they share.

import { signal } from "./vendor/preact@11.2.0/preact.js";
import { copy } from "./view.js";

const here = new URL(".", import.meta.url);
const feed = `${document.body.dataset.base ?? ""}/api/feed`;
/**
 * What the server tells: what happened to which runs, until which position.
 * @typedef {{position?: number, runs?: Record<string, string[]>, reset?: boolean}} Message
 * @typedef {(message: Message) => void} Listener
 */
/** @type {Set<Listener>} */
const listeners = new Set();

/** "on" while the stream is connected, else "off". */
export const state = signal("off");

/**
 * Calls the function for each message {position, runs, reset}; returns how to stop that.
 * @param {Listener} listener
 */
export function changed(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const first = JSON.parse(document.getElementById("first")?.textContent || "{}");
let isNew = first.position !== undefined;

/**
 * Something may have been recorded between the answers in the page and the first message.
 * @param {Message} message
 */
function missed(message) {
  if (!isNew || message.position === undefined) return false;
  isNew = false;
  return message.position !== first.position;
}

/** @param {Message & {state?: string}} message */
function hear(message) {
  if (message.state) state.value = message.state;
  const reset = message.reset || missed(message);
  if (!reset && !Object.keys(message.runs ?? {}).length) return; // Nothing has changed.
  for (const listener of [...listeners]) listener({ ...message, reset });
}

const policy = self.trustedTypes?.createPolicy("studio", {
  createScriptURL: (url) => (url === worker ? url : null),
});
const worker = new URL("live-worker.js", here).href;

function connect() {
  if ("SharedWorker" in self) {
    const shared = new SharedWorker(policy ? policy.createScriptURL(worker) : worker, {
      name: feed,
      type: "module",
    });
    shared.port.onmessage = (event) => hear(event.data);
    shared.port.start();
    shared.port.postMessage({ feed });
  } else {
    const source = new EventSource(feed);
    source.onopen = () => hear({ state: "on" });
    source.onerror = () => hear({ state: "off" });
    source.onmessage = (event) => hear(JSON.parse(event.data));
  }
}

if (copy) state.value = "copy";
else (self.requestIdleCallback ?? setTimeout)(connect, { timeout: 500 }); // The page comes first.
