// The selected runs, which stand in the address, and what can be done with all of them at once.

import { computed, html, useState } from "./vendor/preact@11.2.0/preact.js";
import { ask, useAnswer } from "./api.js";
import { later } from "./later.js";
import { mayChange } from "./me.js";
import { filterOf, idIn } from "./run-numbers.js";
import { asof, change, go, isInAddress, to, view } from "./view.js";

/** @import { Far } from "./runs/bulk.js" */
/** @import { Changes } from "./view.js" */
/**
 * What the table of runs asks for.
 * @typedef {{experiment?: string, q?: string, f?: string, tree?: boolean}} Question
 */

const BulkDialog = later(async () => (await import("./runs/bulk.js")).BulkDialog);
const Told = later(async () => (await import("./runs/bulk.js")).Told);

const COMPARED_MAX = 1000;
const NAMED_MAX = 200; // Of more, the address has a filter that finds them.

/** Ids: the selected runs, or with `all` in the address those of the matching ones that are not. */
const listed = computed(() => new Set(view.value.runs ?? []));

export const hasSelection = computed(() => Boolean(view.value.all) || listed.value.size > 0);

/** Whether a run is selected, which is a row of the table. @param {string} id */
export const isSelected = (id) => Boolean(view.value.all) !== listed.value.has(id);

/** @param {string[]} runs @param {Changes} [more] */
const put = (runs, more) => change({ runs: runs.length ? runs : null, ...more }, { replace: true });

/** @param {string} id */
export function toggle(id) {
  const runs = view.value.runs ?? [];
  put(runs.includes(id) ? runs.filter((one) => one !== id) : [...runs, id]);
}

/** Selects some more runs. @param {string[]} ids */
export function select(ids) {
  const runs = view.value.runs ?? [];
  put(view.value.all ? runs.filter((id) => !ids.includes(id)) : [...new Set([...runs, ...ids])]);
}

export const selectNone = () => put([], { all: null });

/** Selects all runs that match, on all pages of the table. */
export const selectAll = () => put([], { all: true });

/** The question of which the selected runs are the answer. @param {Question} question the table's */
export function selectedOnes({ experiment, q, f, tree }) {
  const { all, runs = [] } = view.value;
  if (!all) return { f: runs.length ? idIn(runs) : null, children: true };
  const but = runs.length && `not ${idIn(runs)}`;
  return { experiment, q, f: but ? (f ? `(${f}) and ${but}` : but) : f, children: Boolean(tree) };
}

/**
 * What is done with the selected runs; the keys `c`, `b`, `d` and `e` press the buttons of these ids.
 * @param {{question: Question}} props
 */
export function Selection({ question }) {
  const [open, setOpen] = useState(/** @type {"tag" | "archive" | "cancel" | null} */ (null));
  const [told, tell] = useState(/** @type {Far | null} */ (null));
  const { all, runs: ids = [], pin } = view.value;
  const which = selectedOnes(question);
  const found = useAnswer("runs", { ...which, limit: 1, cols: ["status"] }, { skip: !all }).value.data;
  const count = all ? found?.total : ids.length;
  return html`
    ${told ? html`<${Told} answer=${told} onClose=${() => tell(null)} />` : ""}
    ${
      all || ids.length
        ? html`
          <div class="bar selection" role="toolbar" aria-label="Selected runs">
            <b role="status">${all ? `${count?.toLocaleString("en-US") ?? "…"} selected: all that match${ids.length ? `, without ${ids.length}` : ""}` : `${ids.length} selected`}</b>
            <${ToCompare} which=${which} count=${count} />
            ${
              !all && ids.length === 1
                ? html`
                  <button id="pin" onClick=${() => change({ pin: pin === ids[0] ? null : ids[0] })}>
                    ${pin === ids[0] ? "No baseline" : "As baseline"}
                  </button>
                `
                : ""
            }
            ${
              mayChange.value && count
                ? html`
                  <button id="tag" onClick=${() => setOpen("tag")}>Tag…</button>
                  <button onClick=${() => setOpen("archive")}>Archive…</button>
                  <button onClick=${() => setOpen("cancel")}>Cancel…</button>
                `
                : ""
            }
            <button class="quiet" onClick=${selectNone}>None</button>
            ${isInAddress.value ? "" : html`<${AsFilter} />`}
          </div>
        `
        : ""
    }
    ${
      open
        ? html`
          <${BulkDialog}
            of=${open}
            count=${count}
            which=${all ? { ...which, position: found?.position } : { ids }}
            tell=${tell}
            onClose=${() => setOpen(null)}
          />
        `
        : ""
    }
  `;
}

/** A selection that is too long for an address, as a filter, which is not. */
function AsFilter() {
  const [problem, setProblem] = useState("");
  const { all, runs = [], tree } = view.value;
  const put = () =>
    filterOf(runs, Boolean(tree)).then(
      (f) => change({ f, q: null, all: true, runs: null }),
      ({ message }) => setProblem(message),
    );
  return html`
    <span class="muted">too many for a link: kept in this tab only</span>
    ${all ? "" : html`<button title="A filter that finds them, for a link or a view" onClick=${put}>Show only these</button>`}
    ${problem ? html`<span class="wrong" role="alert">${problem}</span>` : ""}
  `;
}

/**
 * To the page that compares the selected runs: their curves, or what differs between them.
 * @param {{which: object, count?: number}} props
 */
function ToCompare({ which, count }) {
  const [problem, setProblem] = useState("");
  const { all, runs = [], tree } = view.value;
  if (count !== undefined && count > COMPARED_MAX)
    return html`<span class="muted">${COMPARED_MAX.toLocaleString("en-US")} at most can be compared</span>`;
  const asked = async () => {
    if (!all) return { f: await filterOf(runs, Boolean(tree)), tree };
    const { ids, total } = await ask("runs", { ...which, limit: NAMED_MAX, cols: ["status"] });
    return total > NAMED_MAX ? withExperiment(which, tree) : { runs: ids };
  };
  /** @param {string} [show] */
  const found = (show) =>
    asked().then(
      (some) => go({ page: "compare", ...some, show, asof: asof.value }),
      ({ message }) => setProblem(message),
    );
  /** @param {string} id @param {string} key @param {string} name @param {string} [show] */
  const way = (id, key, name, show) =>
    all || (count ?? 0) > NAMED_MAX
      ? html`<button id=${id} title=${key} onClick=${() => found(show)}>${name}</button>`
      : html`<a class="button" id=${id} title=${key} href=${to({ page: "compare", runs, show })}>${name}</a>`;
  return html`
    ${way("compare", "c", `Compare ${count ?? ""}`)} ${way("differences", "d", "Differences", "parameters")}
    ${problem ? html`<span class="wrong" role="alert">${problem}</span>` : ""}
  `;
}

/**
 * The question of a table, as the page that compares has it in its address.
 * @param {Question} question @param {boolean} [tree]
 */
function withExperiment({ experiment, f, q }, tree) {
  const own = experiment && `experiment = ${JSON.stringify(experiment)}`;
  return { f: own && f ? `${own} and (${f})` : (own ?? f), q, tree };
}
