// The row of a grid that has the focus: keys and clicks move it, select rows, and open branches.

import { useRef, useState } from "./vendor/preact@11.2.0/preact.js";

/** @import { GridProps, Tree } from "./grid.js" */
/** @import { Pages, Row, Rows } from "./row-pages.js" */
/** @import { Ref } from "./vendor/preact@11.2.0/preact.js" */

/** The height of a row in pixels. */
export const ROW = 28;
/** How many rows a key goes on. @type {Record<string, number | undefined>} */
const STEPS = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 20, PageUp: -20 };
/** Whether a key goes into a branch, or out of it. @type {Record<string, boolean | undefined>} */
const INWARDS = { ArrowRight: true, ArrowLeft: false };

/** The id of the run of a row; undefined while it is asked for. @param {Pages<Rows>} pages @param {number} index */
export const idAt = (pages, index) => {
  const row = pages.row(index);
  return row?.answer.ids[row.place];
};

/** Whether a row stands above others. @param {Row<Rows>} row */
export const isAbove = ({ answer, place }) => (answer.below?.[place] ?? 0) > 0;

/**
 * The index of the row that has the focus, and what keys and clicks do.
 * @template {Rows} Answer @param {Ref<HTMLElement | null>} frame @param {GridProps<Answer>} props
 */
export function useFocus(frame, props) {
  const { pages, pinned, tree, onMove } = props;
  const [focus, setFocus] = useState(0);
  const focused = useRef(0); // The next key may come before the row is drawn.
  const selecting = useSelecting(props);
  /** @param {number} index */
  const moveTo = (index) => {
    focused.current = index;
    setFocus(index);
  };
  /** @param {number} index */
  const show = (index) => {
    moveTo(index);
    const element = frame.current;
    if (!element) return;
    if (index * ROW < element.scrollTop) element.scrollTop = index * ROW;
    const bottom = (index + (pinned ? 3 : 2)) * ROW - element.clientHeight;
    if (bottom > element.scrollTop) element.scrollTop = bottom;
    const id = idAt(pages, index);
    if (id) onMove?.(id);
  };
  /** @param {KeyboardEvent} event */
  const keys = (event) => {
    if (event.target !== frame.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = focused.current;
    const next = goal(event.key, at, pages.state.value.total ?? 0);
    const inwards = INWARDS[event.key];
    if (next !== undefined) show(next);
    else if (tree && inwards !== undefined) {
      if (!walk(pages, tree, at, inwards, show)) return;
    } else if (!act(event.key, at, props, selecting)) return;
    event.preventDefault();
    event.stopPropagation();
  };
  /** @param {MouseEvent & {target: Element}} event @param {number} index */
  const clicked = (event, index) => {
    moveTo(index);
    if (event.target.closest("input[type=checkbox]")) selecting.clicked(event, index);
  };
  return { focus, keys, clicked };
}

/** The row that a key goes to; undefined for other keys. @param {string} key @param {number} at @param {number} rows */
function goal(key, at, rows) {
  const step = STEPS[key];
  const next = step ? at + step : key === "Home" ? 0 : key === "End" ? rows - 1 : undefined;
  return next === undefined ? undefined : Math.max(0, Math.min(rows - 1, next));
}

/**
 * Into the branch of a row, or out of it: opens or closes it, or goes to the next or upper row.
 * Whether there was one.
 * @param {Pages<Rows>} pages @param {Tree} tree @param {number} index @param {boolean} inwards
 * @param {(index: number) => void} show
 */
function walk(pages, tree, index, inwards, show) {
  const row = pages.row(index);
  if (!row) return false;
  const hasBranch = isAbove(row);
  const id = row.answer.ids[row.place];
  if (hasBranch && tree.isOpen(id) !== inwards) tree.flip(id);
  else if (inwards) {
    if (!hasBranch) return false;
    show(index + 1);
  } else {
    let upper = index - 1;
    while (upper >= 0 && depthAt(pages, upper) >= depthAt(pages, index)) upper -= 1;
    if (upper < 0) return false;
    show(upper);
  }
  return true;
}

/** @param {Pages<Rows>} pages @param {number} index */
function depthAt(pages, index) {
  const row = pages.row(index);
  return row?.answer.depths?.[row.place] ?? Infinity;
}

/**
 * What a key does with the row that has the focus. Whether it is such a key.
 * @template {Rows} Answer @param {string} key @param {number} index @param {GridProps<Answer>} props
 * @param {ReturnType<typeof useSelecting>} selecting
 */
function act(key, index, { pages, onOpen, onSelect, onSelectMany, onPeek }, selecting) {
  const id = idAt(pages, index);
  if (key === "Enter") {
    if (id) onOpen?.(id);
  } else if ((key === "o" || key === " ") && onPeek) {
    if (id) onPeek(id);
  } else if (key === "x" && onSelect) selecting.one(index);
  else if (key === "X" && onSelectMany) selecting.upTo(index);
  else return false;
  return true;
}

/** Selects one row, or all from the last one on. @template {Rows} Answer @param {GridProps<Answer>} props */
function useSelecting({ pages, onSelect, onSelectMany }) {
  const anchor = useRef(0); // Where a selection of many rows began.
  /** @param {number} index */
  const upTo = (index) => {
    const [from, to] = [Math.min(anchor.current, index), Math.max(anchor.current, index)];
    const found = Array.from({ length: to - from + 1 }, (_, n) => idAt(pages, from + n));
    onSelectMany?.(found.filter((id) => id !== undefined));
  };
  return {
    upTo,
    /** @param {number} index */
    one(index) {
      const id = idAt(pages, index);
      if (id) onSelect?.(id);
      anchor.current = index;
    },
    /** In the box of a row, which changes by itself. @param {MouseEvent} event @param {number} index */
    clicked(event, index) {
      if (event.shiftKey && onSelectMany) {
        event.preventDefault(); // Or else the box of this row would change once more.
        upTo(index);
      }
      anchor.current = index;
    },
  };
}
