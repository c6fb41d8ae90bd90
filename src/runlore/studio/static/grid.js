// A table of any size: only the rows and columns in view are there.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact@11.2.0/preact.js";
import { columnsInView } from "./columns-in-view.js";
import { cells, heads, shownColumns } from "./grid-cells.js";
import { idAt, isAbove, ROW, useFocus } from "./grid-focus.js";
import { nearest, pointed } from "./lit.js";
import { OnPaper } from "./paper.js";

const MARGIN = 8;
const ABOVE = 160; // At least this is above a grid: to draw twice at first takes twice as long.

/** @import { Shown } from "./grid-cells.js" */
/** @import { Pages, Row, Rows } from "./row-pages.js" */
/** @import { Drawn, Ref } from "./vendor/preact@11.2.0/preact.js" */
/**
 * @template {Rows} Answer
 * @typedef {object} Column
 * @property {string} key
 * @property {Drawn} title
 * @property {number} width pixels
 * @property {boolean} [number] stands at the right, as columns of numbers alone do
 * @property {(row: Row<Answer>) => unknown} [figure] what a row has, if it may be a number: the points of all are aligned
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
  const { pages, columns, label, pinned, tree, onSelect } = props;
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
  const indices = Array.from({ length: Math.max(0, last - first + 1) }, (_, n) => first + n);
  const found = indices.map((index) => pages.row(index));
  const shown = shownColumns(
    columns,
    columnsInView(widths, at.left, size.width),
    [pinned, ...found].filter((row) => row !== null && row !== undefined),
  );
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
        <div class="grid-heads" role="row" aria-rowindex="1" style=${{ gridTemplateColumns: template }}>${heads(shown)}</div>
        ${
          pinned
            ? html`
              <div class="grid-pinned" role="row" title="The baseline" style=${{ gridTemplateColumns: template }}>
                ${cells(shown, pinned)}
              </div>
            `
            : ""
        }
      </div>
      <div class="grid-body" role="rowgroup" style=${{ height: `${rows * ROW}px`, width: `${width}px` }}>
        ${indices.map((index, n) => drawnRow(found[n], index, { shown, template, focus, clicked, ...props }))}
      </div>
    </div>
  `;
}

/**
 * A row at its height.
 * @template {Rows} Answer
 * @param {Row<Answer> | null} row @param {number} index
 * @param {GridProps<Answer> & {shown: Shown<Answer>[], template: string, focus: number,
 *   clicked: ReturnType<typeof useFocus>["clicked"]}} props
 */
function drawnRow(row, index, { shown, template, focus, clicked, tree, onSelect, isSelected }) {
  const id = row?.answer.ids[row.place];
  const selected = id !== undefined && Boolean(isSelected?.(id));
  const hasBranch = tree && row && isAbove(row);
  return html`
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
      onClick=${(/** @type {MouseEvent & {target: Element}} */ event) => clicked(event, index)}
      onMouseEnter=${id && (() => (pointed.value = id))}
      onMouseLeave=${id && (() => (pointed.value = null))}
    >
      ${cells(shown, row)}
    </div>
  `;
}

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
