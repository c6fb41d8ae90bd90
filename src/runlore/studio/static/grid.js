// A table of any size: only the rows and columns in view are there, and rows are asked for page by page.

import { html, signal, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact@11.2.0/preact.js";
import { ask, atHand } from "./api.js";
import { columnsInView } from "./columns-in-view.js";
import { nearest, pointed } from "./lit.js";
import { changed } from "./live.js";
import { OnPaper } from "./paper.js";
import { asof } from "./view.js";

const ROW = 28;
const MARGIN = 8;
const ABOVE = 160; // At least this is above a grid: to draw twice at first takes twice as long.
const PAGE = 100;
const STRIDE = 25;
const WIDTH_MIN = 48;
const WIDTH_MAX = 960;

/**
 * The pages of a table, asked for when they come into view.
 * @param {string} path @param {Record<string, any>} params the question without its pages
 * @param {string} [place] the same for questions with much the same rows: the rows of the one
 *   before stay until those of the next are there
 */
export function usePages(path, params, place) {
  const key = JSON.stringify([path, params, asof.value]);
  const part = (number) => ({ ...params, offset: number * PAGE, limit: PAGE });
  const before = useRef({});
  const held = useMemo(() => {
    const own = { place: place ?? key, pages: new Map(), over: new AbortController(), old: null };
    const answer = atHand(path, part(0));
    if (answer) own.pages.set(0, { answer });
    else if (before.current.place === own.place) own.old = before.current.pages;
    const total = answer?.total ?? (own.old ? before.current.state.value.total : null);
    own.state = signal({ total, error: null, turn: 0 });
    before.current = own;
    return own;
  }, [key]);
  const { pages, state, over } = held;
  const stride = useMemo(() => signal(0), []);

  const fetchPage = async (number) => {
    const page = pages.get(number) ?? { answer: null };
    if (page.asking) return;
    page.asking = true;
    pages.set(number, page);
    try {
      page.answer = await ask(path, part(number), over.signal);
      page.asking = false;
      if (over.signal.aborted) return;
      if (![...pages.values()].some((one) => one.asking)) held.old = null;
      state.value = { total: page.answer.total, error: null, turn: state.value.turn + 1 };
    } catch (error) {
      if (!over.signal.aborted) state.value = { ...state.value, error };
    } finally {
      page.asking = false;
    }
  };

  useLayoutEffect(() => {
    if (!pages.has(0)) fetchPage(0); // Before the next frame, which nobody waits for.
    let timer = 0;
    const stop = changed(() => {
      if (asof.value !== null || timer) return;
      timer = setTimeout(() => {
        timer = 0;
        for (const number of pages.keys()) fetchPage(number); // Those that were seen.
      }, 500);
    });
    return () => {
      over.abort();
      clearTimeout(timer);
      stop();
    };
  }, [key]);

  return {
    state,
    /** Asks for what is missing of some rows. */
    need(first, last) {
      stride.value = Math.floor(first / STRIDE);
      for (let n = Math.floor(first / PAGE); n <= Math.floor(Math.max(first, last) / PAGE); n += 1) {
        if (!pages.has(n)) fetchPage(n);
      }
    },
    /** Asks for the first rows, as far as they are not there. */
    all: (count) =>
      Promise.all(Array.from({ length: Math.ceil(count / PAGE) }, (_, n) => pages.get(n)?.answer ?? fetchPage(n))),
    /** The rows in view, and some more. */
    near() {
      const first = stride.value * STRIDE;
      return Array.from({ length: 4 * STRIDE }, (_, n) => this.row(first + n)).filter(Boolean);
    },
    /** The answer that has the row, and the row's place in it; null while it is asked for. */
    row(index) {
      const number = Math.floor(index / PAGE);
      const answer = pages.get(number)?.answer ?? held.old?.get(number)?.answer;
      const place = index % PAGE;
      return answer && place < answer.ids.length ? { answer, place } : null;
    },
  };
}

/**
 * @typedef {object} Column
 * @property {string} key
 * @property {any} title
 * @property {number} width pixels
 * @property {boolean} [number] stands at the right
 * @property {string} [sorted] ascending or descending
 * @property {(width: number) => void} [onResize]
 * @property {(row: {answer: any, place: number}) => any} cell
 */

/**
 * @param {object} props
 * @param {ReturnType<typeof usePages>} props.pages
 * @param {Column[]} props.columns
 * @param {{answer: any, place: number} | null} [props.pinned] a row that stays at the top
 * @param {(id: string) => void} [props.onSelect]
 * @param {(ids: string[]) => void} [props.onSelectMany] from one row to another
 * @param {(id: string) => void} [props.onPeek] shows the row beside the table, or no longer
 * @param {(id: string) => void} [props.onMove] another row has the focus
 * @param {Tree | null} [props.tree] if rows stand below others
 * @typedef {{isOpen: (id: string) => boolean, flip: (id: string) => void}} Tree
 */
export const Grid = (props) => html`<${OnScreen} ...${props} /><${OnPaper} ...${props} />`;

function OnScreen(props) {
  const { pages, columns, label, pinned, tree } = props;
  const { onOpen, onSelect, onSelectMany, onPeek, onMove, isSelected } = props;
  const frame = useRef(null);
  const [at, setAt] = useState({ top: 0, left: 0 });
  const [size, setSize] = useState({ width: innerWidth, height: innerHeight - ABOVE });
  const [focus, setFocus] = useState(0);
  const focused = useRef(0); // The next key may come before the row is drawn.
  const anchor = useRef(0); // Where a selection of many rows began.
  const { total, turn } = pages.state.value;
  const rows = total ?? 0;
  const first = Math.max(0, Math.floor(at.top / ROW) - MARGIN);
  const last = Math.min(rows - 1, Math.ceil((at.top + size.height) / ROW) + MARGIN);

  useLayoutEffect(() => {
    const element = frame.current;
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
    for (let index = first; index <= last; index += 1) if (idAt(index) === id) return index;
    return -1;
  });

  const widths = columns.map((column) => column.width);
  const width = widths.reduce((sum, one) => sum + one, 0);
  const template = widths.map((one) => `${one}px`).join(" ");
  const inView = columnsInView(widths, at.left, size.width);
  const idAt = (index) => {
    const row = pages.row(index);
    return row?.answer.ids[row.place];
  };
  const depthAt = (index) => {
    const row = pages.row(index);
    return row?.answer.depths[row.place] ?? Infinity;
  };
  const moveTo = (index) => {
    focused.current = index;
    setFocus(index);
  };
  const select = (index) => {
    const id = idAt(index);
    if (id) onSelect(id);
    anchor.current = index;
  };
  const selectTo = (index) => {
    const [from, to] = [Math.min(anchor.current, index), Math.max(anchor.current, index)];
    const found = [];
    for (let one = from; one <= to; one += 1) if (idAt(one)) found.push(idAt(one));
    onSelectMany(found);
  };
  const show = (index) => {
    moveTo(index);
    const element = frame.current;
    if (index * ROW < element.scrollTop) element.scrollTop = index * ROW;
    const bottom = (index + (pinned ? 3 : 2)) * ROW - element.clientHeight;
    if (bottom > element.scrollTop) element.scrollTop = bottom;
    if (idAt(index)) onMove?.(idAt(index));
  };
  /** Into the branch of a row, or out of it: opens or closes it, or goes to the next or upper row. */
  const walk = (index, inwards) => {
    const row = pages.row(index);
    if (!row) return false;
    const id = row.answer.ids[row.place];
    const hasBranch = row.answer.below[row.place] > 0;
    if (hasBranch && tree.isOpen(id) !== inwards) tree.flip(id);
    else if (inwards && hasBranch) show(index + 1);
    else if (!inwards) {
      const depth = row.answer.depths[row.place];
      let upper = index - 1;
      while (upper >= 0 && depthAt(upper) >= depth) upper -= 1;
      if (upper < 0) return false;
      show(upper);
    } else return false;
    return true;
  };
  const keys = (event) => {
    if (event.target !== frame.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 20, PageUp: -20 }[event.key];
    const end = { Home: 0, End: rows - 1 }[event.key];
    const inwards = { ArrowRight: true, ArrowLeft: false }[event.key];
    const id = idAt(focused.current);
    if (step || end !== undefined) show(Math.max(0, Math.min(rows - 1, end ?? focused.current + step)));
    else if (tree && inwards !== undefined) {
      if (!walk(focused.current, inwards)) return;
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
    const hasBranch = tree && row?.answer.below[row.place] > 0;
    shown.push(html`
      <div
        key=${index}
        id=${`row-${index}`}
        role="row"
        aria-rowindex=${index + 2}
        aria-level=${tree && row ? row.answer.depths[row.place] + 1 : undefined}
        aria-expanded=${hasBranch ? String(tree.isOpen(id)) : undefined}
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

/** Lights up the row of the run whose curve the pointer is at: by hand, as all rows need not be drawn for that. */
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

/** The size that is drawn for: the one of before if it is enough, and not much too large. */
function sizeFor({ clientWidth: width, clientHeight: height }, held) {
  const isEnough = width <= held.width && height <= held.height && held.height < height + MARGIN * ROW;
  return isEnough ? held : { width, height };
}

const cellClass = ({ number }) => `grid-cell ${number ? "number" : ""}`;

/** The right edge of a column, which is dragged to make it wider. */
function Edge({ width, onResize }) {
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
