// The runs of an experiment, or of all: a table with columns, a filter, groups and a tree.

import { html, signal, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact@11.2.0/preact.js";
import { address, useAnswer } from "../api.js";
import { ColumnPicker } from "../column-picker.js";
import { runsOf } from "../format.js";
import { FilterLine, SearchBox } from "../filter-bar.js";
import { Grid } from "../grid.js";
import { GroupBy } from "../group-by.js";
import { isField } from "../keys.js";
import { later } from "../later.js";
import { useLiveCells } from "../runs/live-cells.js";
import { ChartsButton, Split } from "../runs/split.js";
import { Wrong } from "../parts.js";
import { usePages } from "../row-pages.js";
import { gridColumns, metricOf, parseColumn } from "../run-columns.js";
import { isSelected, select, selectAll, Selection, toggle } from "../selection.js";
import { asof, change, copyAddress, go, view } from "../view.js";

/** @import { RunRows } from "answers" */
/** @import { Question } from "../selection.js" */
/** @import { Signal } from "../vendor/preact@11.2.0/preact.js" */

const NoRuns = later(async () => (await import("../runs/nothing.js")).NoRuns);
const GroupGrid = later(async () => (await import("../runs/group-grid.js")).GroupGrid);
const Drawer = later(async () => (await import("../runs/drawer.js")).Drawer);
const BRANCHES_MAX = 200; // Of more, the first ones are as all others.
const PAUSE_MS = 150;

export function Runs() {
  const { experiment, q, f, sort, tree } = view.value;
  const known = useAnswer("columns", { experiment, limit: 100 }, { runs: [] }).value.data;
  const fields = known?.fields;
  const columns = view.value.cols ?? known?.first;
  const question = { experiment, q, f, tree };
  const total = useMemo(() => signal(/** @type {number | null} */ (null)), []); // The table knows it.
  return html`
    <div class="runs-page">
      <div class="bar">
        <h1>${experiment ? html`<bdi>${experiment}</bdi>` : "All runs"}</h1>
        <${Count} total=${total} />
        <span class="grow"></span>
        <${SearchBox} />
        <${GroupBy} fields=${fields} />
        <label class="check">
          <input
            type="checkbox"
            checked=${Boolean(tree)}
            onChange=${() => change({ tree: !tree, closed: null, branches: null, group: null, agg: null })}
          />
          children
        </label>
        ${
          tree
            ? html`
              <button onClick=${() => change({ closed: !view.value.closed, branches: null })}>
                ${view.value.closed ? "Open all" : "Close all"}
              </button>
            `
            : ""
        }
        <${ColumnPicker} columns=${columns ?? []} experiment=${experiment} />
        <a class="button" href=${csv(question, columns ?? [])} download title="The table as a file">CSV</a>
        <${CopyLink} />
        ${view.value.group ? "" : html`<${ChartsButton} />`}
      </div>
      ${columns ? html`<${Table} question=${{ ...question, sort }} columns=${columns} total=${total} />` : ""}
      ${columns && !view.value.group && total.value ? html`<${Split} question=${question} columns=${columns} fields=${fields} />` : ""}
    </div>
  `;
}

function CopyLink() {
  const [copied, setCopied] = useState(/** @type {typeof view.value | null} */ (null));
  const copy = async () => {
    await copyAddress();
    setCopied(view.value);
  };
  return html`<button title="The address of this view: y" onClick=${copy}>${copied === view.value ? "Copied" : "Link"}</button>`;
}

/** The address of the shown table as a file. @param {Question} question @param {string[]} columns */
function csv(question, columns) {
  const { group, agg, sort } = view.value;
  const cols = columns.map((text) => parseColumn(text).field);
  return group
    ? address("groups.csv", {
        ...question,
        group,
        agg,
        cols: cols.filter((field) => field !== group),
        asof: asof.value,
      })
    : address("runs.csv", { ...question, sort, cols, asof: asof.value });
}

/** @param {{total: Signal<number | null>}} props */
function Count({ total }) {
  const { group, all } = view.value;
  return html`
    <span class="muted" role="status">${total.value === null ? "" : runsOf(total.value)}</span>
    ${total.value && !group && !all ? html`<button class="quiet" onClick=${selectAll}>Select all</button>` : ""}
  `;
}

/** The branches of the tree: which are open, and how one is opened and closed. */
const TREE = {
  /** @param {string} id */
  isOpen: (id) => Boolean(view.value.closed) === (view.value.branches ?? []).includes(id),
  /** @param {string} id */
  flip(id) {
    const held = view.value.branches ?? [];
    const next = held.includes(id) ? held.filter((one) => one !== id) : [...held, id].slice(-BRANCHES_MAX);
    change({ branches: next.length ? next : null }, { replace: true });
  },
};

/** Shows a run beside the table; the one that is shown already no longer. @param {string} id */
function peek(id) {
  const { drawer } = view.value;
  change({ drawer: drawer === id ? null : id }, { replace: Boolean(drawer) });
}

/** The run beside the table is the one that has the focus, when it stays on one. */
function useFollowing() {
  const timer = useRef(0);
  /** @param {string} id */
  return (id) => {
    clearTimeout(timer.current);
    if (!view.value.drawer) return;
    timer.current = setTimeout(() => view.value.drawer && change({ drawer: id }, { replace: true }), PAUSE_MS);
  };
}

/** Closes what is beside the table; the focus goes back there if it was in it. */
function closeDrawer() {
  const wasInside = document.activeElement?.closest(".drawer");
  change({ drawer: null }, { replace: true });
  /** @type {HTMLElement | null} */
  const grid = document.querySelector(".grid");
  if (wasInside) grid?.focus();
}

/** Escape closes what is beside the table, unless something else is open or written in. @param {boolean} isOpen */
function useEscape(isOpen) {
  useEffect(() => {
    if (!isOpen) return undefined;
    /** @param {KeyboardEvent} event */
    const pressed = (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      if (document.querySelector("dialog[open], details.picker[open]")) return;
      if (!isField(event.target)) closeDrawer();
    };
    addEventListener("keydown", pressed, true); // Before popups close by the same key.
    return () => removeEventListener("keydown", pressed, true);
  }, [isOpen]);
}

/** @param {{question: Question & {sort?: string}, columns: string[], total: Signal<number | null>}} props */
function Table({ question, columns, total: told }) {
  const { group, pin, tree, closed, branches, drawer } = view.value;
  const cols = columns.map((text) => parseColumn(text).field);
  const asked = { ...question, closed, branch: branches };
  const pages = usePages("runs", { ...asked, cols }, JSON.stringify([question, asof.value]));
  pages.state.value; // The rows in view are others when it changes.
  const valueIn = useLiveCells(group ? [] : pages.near(), cols);
  const isBeside = Boolean(drawer && !group);
  const follow = useFollowing();
  useEscape(isBeside);
  const { total, error } = pages.state.value;
  useLayoutEffect(() => {
    if (total !== null) told.value = total; // The last one stays until there is another.
  }, [total]);
  const pinned = useAnswer(
    "runs",
    { f: idIs(pin), children: true, cols, limit: 1 },
    { skip: !pin, runs: pin ? [pin] : [] },
  ).value;
  const baseline = pin && pinned.data?.ids.length ? rowOf(pinned.data) : null;
  return html`
    <${FilterLine} error=${error} />
    ${group ? "" : html`<${Selection} question=${question} />`}
    ${error && error.title !== "FilterError" ? html`<${Wrong} error=${error} />` : ""}
    ${
      group
        ? html`<${GroupGrid} question=${question} columns=${columns} />`
        : total === 0
          ? html`<${NoRuns} question=${question} />`
          : html`
            <div class="with-drawer">
              <${Grid}
                pages=${pages}
                label="Runs"
                columns=${gridColumns(columns, { baseline, tree: tree ? TREE : null, peek, valueIn })}
                pinned=${baseline && { answer: pinned.data, place: 0 }}
                tree=${tree ? TREE : null}
                onOpen=${(/** @type {string} */ id) => go({ page: "run", run: id, asof: asof.value })}
                onSelect=${toggle}
                onSelectMany=${select}
                onPeek=${peek}
                onMove=${follow}
                isSelected=${isSelected}
              />
              ${
                isBeside
                  ? html`<${Drawer} id=${drawer} metrics=${cols.map(metricOf).filter((metric) => metric !== null)} onClose=${closeDrawer} />`
                  : ""
              }
            </div>
          `
    }
  `;
}

/** @param {string | undefined} id */
const idIs = (id) => `id = ${JSON.stringify(id ?? "")}`;

/** @param {RunRows} answer */
const rowOf = (answer) => ({ id: answer.ids[0], values: answer.data.map((values) => values[0]) });
