// A table of any size: only the rows and columns in view are there.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact@11.2.0/preact.js";
import { columnsInView } from "./columns-in-view.js";
import { nearest, pointed } from "./lit.js";
import { OnPaper } from "./paper.js";

const ROW = 28;
const MARGIN = 8;
const ABOVE = 160; // At least this is above a grid: to draw twice at first takes twice as long.
const WIDTH_MIN = 48;
const WIDTH_MAX = 960;
/** How many rows a key goes on. @type {Record<string, number | undefined>} */
const STEPS = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 20, PageUp: -20 };
/** Whether a key goes into a branch, or out of it. @type {Record<string, boolean | undefined>} */
const INWARDS = { ArrowRight: true, ArrowLeft: false };

/** @import { Pages, Row, Rows } from "./row-pages.js" */
/** @import { Drawn, On, Ref } from "./vendor/preact@11.2.0/preact.js" */
/**
 * @template {Rows} Answer
 * @typedef {object} Column
 * @property {string} key
 * @property {Drawn} title
 * @property {number} width pixels
 * @property {boolean} [number] stands at the right
 * @property {string} [sorted] ascending or descending
 * @property {(width: number) => void} [onResize]
 * @property {(row: Row<Answer>) => Drawn} cell
 */
/** @typedef {{isOpen: (id: string) => boolean, flip: (id: string) => void}} Tree the branches of rows below others */
/**
 * @template {Rows} Answer
 * @typedef {object} GridProps
 * @property {Pages<Answer>} pages
 * @property {Column<Answer>[]} columns
 * @property {string} label
 * @property {Row<Answer> | null} [pinned] a row that stays at the top
 * @property {(id: string) => void} [onOpen]
 * @property {(id: string) => void} [onSelect]
 * @property {(ids: string[]) => void} [onSelectMany] from one row to another
 * @property {(id: string) => boolean} [isSelected]
 * @property {(id: string) => void} [onPeek] shows the row beside the table, or no longer
 * @property {(id: string) => void} [onMove] another row has the focus
 * @property {Tree | null} [tree] if rows stand below others
 */

/** @template {Rows} Answer @param {GridProps<Answer>} props */
export const Grid = (props) => html`<${OnScreen} ...${props} /><${OnPaper} ...${props} />`;

/** @template {Rows} Answer @param {GridProps<Answer>} props */
function OnScreen(props) {
  const { pages, columns, label, pinned, tree, onSelect, isSelected } = props;
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const [at, setAt] = useState({ top: 0, left: 0 });
  const [size, setSize] = useState({ width: innerWidth, height: innerHeight - ABOVE });
  const { total, turn } = pages.state.value;
  const rows = total ?? 0;
  const { focus, keys, clicked } = useFocus(frame, props);
  const first = Math.max(0, Math.floor(at.top / ROW) - MARGIN);
  const last = Math.min(rows - 1, Math.ceil((at.top + size.height) / ROW) + MARGIN);

  useLayoutEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const measure = () => setSize((held) => sizeFor(element, held));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (rows) pages.need(first, last);
  }, [first, last, rows, turn, pages.state]);

  useLit(frame, (id) => {
    for (let index = first; index <= last; index += 1) if (idAt(pages, index) === id) return index;
    return -1;
  });

  const widths = columns.map((column) => column.width);
  const width = widths.reduce((sum, one) => sum + one, 0);
  const template = widths.map((one) => `${one}px`).join(" ");
  const inView = columnsInView(widths, at.left, size.width);
  /** @param {Row<Answer> | null} row */
  const cells = (row) =>
    inView.map((place) => {
      const column = columns[place];
      return html`
        <div key=${column.key} role="gridcell" aria-colindex=${place + 1} class=${cellClass(column)} style=${{ gridColumn: place + 1 }}>
          ${row ? column.cell(row) : ""}
        </div>
      `;
    });
  const shown = [];
  for (let index = first; index <= last; index += 1) {
    const row = pages.row(index);
    const id = row?.answer.ids[row.place];
    const selected = id !== undefined && Boolean(isSelected?.(id));
    const hasBranch = tree && row && isAbove(row);
    shown.push(html`
      <div
        key=${index}
        id=${`row-${index}`}
        role="row"
        aria-rowindex=${index + 2}
        aria-level=${tree && row ? (row.answer.depths?.[row.place] ?? 0) + 1 : undefined}
        aria-expanded=${hasBranch && id !== undefined ? String(tree.isOpen(id)) : undefined}
        aria-selected=${onSelect ? String(selected) : undefined}
        class=${`grid-row ${index === focus ? "focused" : ""} ${selected ? "selected" : ""}`}
        style=${{ transform: `translateY(${index * ROW}px)`, gridTemplateColumns: template }}
        onClick=${(event) => clicked(event, index)}
        onMouseEnter=${id && (() => (pointed.value = id))}
        onMouseLeave=${id && (() => (pointed.value = null))}
      >
        ${cells(row)}
      </div>
    `);
  }
  return html`
    <div
      ref=${frame}
      class="grid"
      role=${tree ? "treegrid" : "grid"}
      tabindex="0"
      aria-label=${label}
      aria-rowcount=${rows + 1}
      aria-colcount=${columns.length}
      aria-multiselectable=${onSelect ? "true" : undefined}
      aria-activedescendant=${rows && focus >= first && focus <= last ? `row-${focus}` : undefined}
      onScroll=${({ currentTarget: { scrollTop: top, scrollLeft: left } }) => setAt({ top, left })}
      onKeyDown=${keys}
    >
      <div class="grid-head" role="rowgroup" style=${{ width: `${width}px` }}>
        <div class="grid-heads" role="row" aria-rowindex="1" style=${{ gridTemplateColumns: template }}>
          ${inView.map((place) => {
            const column = columns[place];
            return html`
              <div
                key=${column.key}
                role="columnheader"
                aria-colindex=${place + 1}
                aria-sort=${column.sorted}
                class=${cellClass(column)}
                style=${{ gridColumn: place + 1 }}
              >
                ${column.title}
                ${column.onResize ? html`<${Edge} width=${column.width} onResize=${column.onResize} />` : ""}
              </div>
            `;
          })}
        </div>
        ${
          pinned
            ? html`
              <div class="grid-pinned" role="row" title="The baseline" style=${{ gridTemplateColumns: template }}>
                ${cells(pinned)}
              </div>
            `
            : ""
        }
      </div>
      <div class="grid-body" role="rowgroup" style=${{ height: `${rows * ROW}px`, width: `${width}px` }}>${shown}</div>
    </div>
  `;
}

/** The id of the run of a row; undefined while it is asked for. @param {Pages<Rows>} pages @param {number} index */
const idAt = (pages, index) => {
  const row = pages.row(index);
  return row?.answer.ids[row.place];
};

/**
 * The row that has the focus: keys and clicks move it, select rows, and open branches.
 * @template {Rows} Answer @param {Ref<HTMLElement | null>} frame @param {GridProps<Answer>} props
 */
function useFocus(frame, { pages, pinned, tree, onOpen, onSelect, onSelectMany, onPeek, onMove }) {
  const [focus, setFocus] = useState(0);
  const focused = useRef(0); // The next key may come before the row is drawn.
  const anchor = useRef(0); // Where a selection of many rows began.
  const rows = pages.state.value.total ?? 0;
  /** @param {number} index */
  const depthAt = (index) => {
    const row = pages.row(index);
    return row?.answer.depths?.[row.place] ?? Infinity;
  };
  /** @param {number} index */
  const moveTo = (index) => {
    focused.current = index;
    setFocus(index);
  };
  /** @param {number} index */
  const select = (index) => {
    const id = idAt(pages, index);
    if (id) onSelect?.(id);
    anchor.current = index;
  };
  /** @param {number} index */
  const selectTo = (index) => {
    const [from, to] = [Math.min(anchor.current, index), Math.max(anchor.current, index)];
    const found = [];
    for (let one = from; one <= to; one += 1) found.push(idAt(pages, one));
    onSelectMany?.(found.filter((id) => id !== undefined));
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
  /**
   * Into the branch of a row, or out of it: opens or closes it, or goes to the next or upper row.
   * @param {Tree} tree @param {number} index @param {boolean} inwards
   */
  const walk = (tree, index, inwards) => {
    const row = pages.row(index);
    if (!row) return false;
    const id = row.answer.ids[row.place];
    const hasBranch = isAbove(row);
    if (hasBranch && tree.isOpen(id) !== inwards) tree.flip(id);
    else if (inwards && hasBranch) show(index + 1);
    else if (!inwards) {
      const depth = depthAt(index);
      let upper = index - 1;
      while (upper >= 0 && depthAt(upper) >= depth) upper -= 1;
      if (upper < 0) return false;
      show(upper);
    } else return false;
    return true;
  };
  /** @param {KeyboardEvent} event */
  const keys = (event) => {
    if (event.target !== frame.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = STEPS[event.key];
    const end = event.key === "Home" ? 0 : event.key === "End" ? rows - 1 : undefined;
    const inwards = INWARDS[event.key];
    const id = idAt(pages, focused.current);
    if (step || end !== undefined) show(Math.max(0, Math.min(rows - 1, end ?? focused.current + (step ?? 0))));
    else if (tree && inwards !== undefined) {
      if (!walk(tree, focused.current, inwards)) return;
    } else if (event.key === "Enter") {
      if (id) onOpen?.(id);
    } else if ((event.key === "o" || event.key === " ") && onPeek) {
      if (id) onPeek(id);
    } else if (event.key === "x" && onSelect) select(focused.current);
    else if (event.key === "X" && onSelectMany) selectTo(focused.current);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  /** @param {MouseEvent & {target: Element}} event @param {number} index */
  const clicked = (event, index) => {
    moveTo(index);
    if (event.target.closest("input[type=checkbox]")) {
      if (event.shiftKey && onSelectMany) {
        event.preventDefault(); // Or else the box of this row would change once more.
        selectTo(index);
      }
      anchor.current = index;
    }
  };
  return { focus, keys, clicked };
}

/** Whether a row stands above others. @param {Row<Rows>} row */
const isAbove = ({ answer, place }) => (answer.below?.[place] ?? 0) > 0;

/**
 * Lights up the row of the run whose curve the pointer is at: by hand, as all rows need not be drawn for that.
 * @param {Ref<HTMLElement | null>} frame @param {(id: string) => number} indexOf the index of its row, -1 for none
 */
function useLit(frame, indexOf) {
  const held = useRef(indexOf);
  held.current = indexOf;
  useEffect(
    () =>
      nearest.subscribe((id) => {
        frame.current?.querySelector(".lit")?.classList.remove("lit");
        if (id !== null) frame.current?.querySelector(`#row-${held.current(id)}`)?.classList.add("lit");
      }),
    [],
  );
}

/**
 * The size that is drawn for: the one of before if it is enough, and not much too large.
 * @param {HTMLElement} frame @param {{width: number, height: number}} held
 */
function sizeFor({ clientWidth: width, clientHeight: height }, held) {
  const isEnough = width <= held.width && height <= held.height && held.height < height + MARGIN * ROW;
  return isEnough ? held : { width, height };
}

/** @param {{number?: boolean}} column */
const cellClass = ({ number }) => `grid-cell ${number ? "number" : ""}`;

/**
 * The right edge of a column, which is dragged to make it wider.
 * @param {{width: number, onResize: (width: number) => void}} props
 */
function Edge({ width, onResize }) {
  /** @param {On<PointerEvent, HTMLElement>} event */
  const grab = (event) => {
    event.preventDefault();
    const edge = event.currentTarget;
    const start = event.clientX;
    edge.setPointerCapture(event.pointerId);
    edge.onpointermove = (moved) =>
      onResize(Math.max(WIDTH_MIN, Math.min(WIDTH_MAX, Math.round(width + moved.clientX - start))));
    edge.onpointerup = () => {
      edge.onpointermove = null;
    };
  };
  return html`<span class="grid-edge" aria-hidden="true" onPointerDown=${grab}></span>`;
}
