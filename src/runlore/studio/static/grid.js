// A table of any length: only the rows in view are there, and they are asked for page by page.

import {
  html,
  signal,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "./vendor/preact@11.2.0/preact.js";
import { changed } from "./live.js";
import { asof } from "./view.js";

const ROW = 28;
const MARGIN = 8;
const PAGE = 100;
const WIDTH_MIN = 48;
const WIDTH_MAX = 960;

/**
 * The pages of a table, asked for when they come into view.
 * @param {(offset: number, limit: number, signal: AbortSignal) => Promise<any>} load
 * @param {string} key changes with the question
 */
export function usePages(load, key) {
  const pages = useMemo(() => new Map(), [key]);
  const state = useMemo(() => signal({ total: null, error: null, turn: 0 }), [key]);
  const over = useMemo(() => new AbortController(), [key]);

  const fetchPage = async (number) => {
    const held = pages.get(number) ?? { answer: null };
    if (held.asking) return;
    held.asking = true;
    pages.set(number, held);
    try {
      held.answer = await load(number * PAGE, PAGE, over.signal);
      if (over.signal.aborted) return;
      state.value = { total: held.answer.total, error: null, turn: state.value.turn + 1 };
    } catch (error) {
      if (!over.signal.aborted) state.value = { ...state.value, error };
    } finally {
      held.asking = false;
    }
  };

  useEffect(() => {
    fetchPage(0);
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
      for (let n = Math.floor(first / PAGE); n <= Math.floor(Math.max(first, last) / PAGE); n += 1) {
        if (!pages.has(n)) fetchPage(n);
      }
    },
    /** The answer that has the row, and the row's place in it; null while it is asked for. */
    row(index) {
      const answer = pages.get(Math.floor(index / PAGE))?.answer;
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
 * @param {(id: string, name: string) => void} [props.onSelect]
 * @param {(rows: [string, string][]) => void} [props.onSelectMany] from one row to another
 */
export function Grid({ pages, columns, label, pinned, onOpen, onSelect, onSelectMany, isSelected }) {
  const frame = useRef(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [focus, setFocus] = useState(0);
  const focused = useRef(0); // The next key may come before the row is drawn.
  const anchor = useRef(0); // Where a selection of many rows began.
  const { total, turn } = pages.state.value;
  const rows = total ?? 0;
  const first = Math.max(0, Math.floor(top / ROW) - MARGIN);
  const last = Math.min(rows - 1, Math.ceil((top + height) / ROW) + MARGIN);

  useLayoutEffect(() => {
    const element = frame.current;
    const measure = () => setHeight(element.clientHeight);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (rows) pages.need(first, last);
  }, [first, last, rows, turn]);

  const width = columns.reduce((sum, column) => sum + column.width, 0);
  const template = columns.map((column) => `${column.width}px`).join(" ");
  const moveTo = (index) => {
    focused.current = index;
    setFocus(index);
  };
  const select = (index) => {
    const row = pages.row(index);
    if (row) onSelect(row.answer.ids[row.place], row.answer.names?.[row.place]);
    anchor.current = index;
  };
  const selectTo = (index) => {
    const [from, to] = [Math.min(anchor.current, index), Math.max(anchor.current, index)];
    const found = [];
    for (let one = from; one <= to; one += 1) {
      const row = pages.row(one);
      if (row) found.push([row.answer.ids[row.place], row.answer.names?.[row.place]]);
    }
    onSelectMany(found);
  };
  const keys = (event) => {
    if (event.target !== frame.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 20, PageUp: -20 }[event.key];
    const end = { Home: 0, End: rows - 1 }[event.key];
    if (step || end !== undefined) {
      const next = Math.max(0, Math.min(rows - 1, end ?? focused.current + step));
      moveTo(next);
      const element = frame.current;
      if (next * ROW < element.scrollTop) element.scrollTop = next * ROW;
      const bottom = (next + (pinned ? 3 : 2)) * ROW - element.clientHeight;
      if (bottom > element.scrollTop) element.scrollTop = bottom;
    } else if (event.key === "Enter") {
      const row = pages.row(focused.current);
      if (row) onOpen?.(row.answer.ids[row.place]);
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
    columns.map(
      (column) => html`
        <div role="gridcell" class=${`grid-cell ${column.number ? "number" : ""}`}>${row ? column.cell(row) : ""}</div>
      `,
    );
  const shown = [];
  for (let index = first; index <= last; index += 1) {
    const row = pages.row(index);
    const id = row?.answer.ids[row.place];
    const selected = id !== undefined && Boolean(isSelected?.(id));
    shown.push(html`
      <div
        key=${index}
        id=${`row-${index}`}
        role="row"
        aria-rowindex=${index + 2}
        aria-selected=${onSelect ? String(selected) : undefined}
        class=${`grid-row ${index === focus ? "focused" : ""} ${selected ? "selected" : ""}`}
        style=${{ transform: `translateY(${index * ROW}px)`, gridTemplateColumns: template }}
        onClick=${(event) => clicked(event, index)}
      >
        ${cells(row)}
      </div>
    `);
  }
  return html`
    <div
      ref=${frame}
      class="grid"
      role="grid"
      tabindex="0"
      aria-label=${label}
      aria-rowcount=${rows + 1}
      aria-colcount=${columns.length}
      aria-multiselectable=${onSelect ? "true" : undefined}
      aria-activedescendant=${rows && focus >= first && focus <= last ? `row-${focus}` : undefined}
      onScroll=${(event) => setTop(event.currentTarget.scrollTop)}
      onKeyDown=${keys}
    >
      <div class="grid-head" role="rowgroup" style=${{ width: `${width}px` }}>
        <div class="grid-heads" role="row" aria-rowindex="1" style=${{ gridTemplateColumns: template }}>
          ${columns.map(
            (column) => html`
              <div role="columnheader" aria-sort=${column.sorted} class=${`grid-cell ${column.number ? "number" : ""}`}>
                ${column.title}
                ${column.onResize ? html`<${Edge} width=${column.width} onResize=${column.onResize} />` : ""}
              </div>
            `,
          )}
        </div>
        ${pinned
          ? html`
              <div class="grid-pinned" role="row" title="The baseline" style=${{ gridTemplateColumns: template }}>
                ${cells(pinned)}
              </div>
            `
          : ""}
      </div>
      <div class="grid-body" role="rowgroup" style=${{ height: `${rows * ROW}px`, width: `${width}px` }}>${shown}</div>
    </div>
  `;
}

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
