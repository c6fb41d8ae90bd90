// The keys of all pages, and the dialog that lists them. Each is also a button or a link.

import { html, useEffect } from "./vendor/preact@11.2.0/preact.js";
import { Dialog } from "./dialog.js";
import { asof, change, copyAddress, go, view } from "./view.js";

/** @param {string} id */
const press = (id) => document.getElementById(id)?.click();
/** @param {string} id */
const focus = (id) => document.getElementById(id)?.focus();
/** @param {string} page */
const open = (page) => go({ page, asof: asof.value });

/**
 * What a key does, by the key or two keys; a row of the help each.
 * @type {Record<string, [what: string, action: () => unknown]>}
 */
const ACTIONS = {
  "/": ["search", () => focus("search")],
  f: ["filter", () => focus("filter")],
  c: ["compare the selected runs", () => press("compare")],
  d: ["what differs between the selected runs", () => press("differences")],
  b: ["the selected run as the baseline, or not", () => press("pin")],
  e: ["tags of the selected runs, or of the run", () => press("tag")],
  ge: ["to the experiments", () => open("experiments")],
  gr: ["to all runs", () => open("runs")],
  gs: ["to SQL", () => open("sql")],
  gt: ["to the targets", () => open("targets")],
  gv: ["to the saved views", () => open("views")],
  "[": ["previous run", () => press("previous")],
  "]": ["next run", () => press("next")],
  l: ["back to now: live", () => asof.value !== null && change({ asof: null })],
  y: ["copy the address of this view", copyAddress],
};

/** The keys of a table: the grid itself hears them. */
const OF_TABLES = {
  "j, k": "next, previous row",
  x: "select the row, or not",
  "shift + x": "select all rows since the last one",
  enter: "open the row",
  "o, space": "details of the row beside the table, or no longer",
  "← →": "close, open the branch below the row",
};

/** The keys of a chart that has the focus. */
const OF_CHARTS = {
  "← →": "move the place at which values are read",
  "+": "show the half of the axis around it",
  "-": "show the whole axis",
};

/** @param {{past: () => void, theme: () => void, help: () => void}} own */
export function useKeys(own) {
  useEffect(() => {
    let before = "";
    /** @param {KeyboardEvent} event */
    const pressed = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      if (isField(event.target)) {
        if (event.key === "Escape") event.target.blur();
        return;
      }
      /** @type {Record<string, () => unknown>} */
      const keys = {
        t: own.past,
        ".": own.theme,
        "?": own.help,
        Escape: closePopups,
        ...Object.fromEntries(Object.entries(ACTIONS).map(([key, [, action]]) => [key, action])),
      };
      const action = keys[before + event.key] ?? keys[event.key];
      before = event.key === "g" ? "g" : "";
      if (!action) return;
      event.preventDefault();
      action();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [own.past, own.theme, own.help, view.value]);
}

/**
 * Whether keys write into an element, or choose in it.
 * @param {EventTarget | null} target @returns {target is HTMLElement}
 */
export const isField = (target) =>
  target instanceof HTMLElement && target.closest("input:not([type=checkbox]), textarea, select") !== null;

function closePopups() {
  for (const popup of document.querySelectorAll("details.picker[open]")) popup.removeAttribute("open");
}

/** @typedef {[key: string, what: string][]} Rows of the help */

/** @param {{onClose: () => void}} props */
export function Help({ onClose }) {
  /** @type {Rows} */
  const others = [
    ["t", "as of a moment"],
    [".", "theme: as the system's, light, dark"],
    ["ctrl + p", "print, with all rows of a table up to 1,000"],
    ["?", "this help"],
    ["esc", "close; leave a field"],
  ];
  const rows = Object.entries(ACTIONS).map(([key, [what]]) => [[...key].join(" "), what]);
  return html`
    <${Dialog} title="Keys" onClose=${onClose} wide>
      <div class="columns">
        <${Keys} title="Everywhere" rows=${[...rows, ...others]} />
        <${Keys} title="In a table" rows=${Object.entries(OF_TABLES)} />
        <${Keys} title="In a chart" rows=${Object.entries(OF_CHARTS)} />
      </div>
    <//>
  `;
}

/** @param {{title: string, rows: Rows}} props */
const Keys = ({ title, rows }) => html`
  <section>
    <h2>${title}</h2>
    <dl class="keys">
      ${rows.map(([key, what]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}
    </dl>
  </section>
`;
