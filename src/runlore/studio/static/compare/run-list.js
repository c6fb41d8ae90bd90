// The runs of a comparison: in which order they stand, and which of them are shown.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { nearest, pointed } from "../lit.js";
import { RunName } from "../parts.js";
import { change } from "../view.js";

/** @import { RunColumns } from "answers" */

const DRAGGED = "text/x-run";
/** @type {Record<string, number | undefined>} */
const STEPS = { ArrowUp: -1, ArrowDown: 1 };

/**
 * The rows of an answer at some places, in their order.
 * @param {RunColumns} data @param {number[]} places @returns {RunColumns}
 */
export function rowsAt(data, places) {
  /** @template T @param {T[]} values */
  const at = (values) => places.map((place) => values[place]);
  const { columns, ids, names, colours, statuses, arrivedAt } = data;
  return {
    columns,
    arrivedAt,
    ids: at(ids),
    names: at(names),
    colours: at(colours),
    statuses: at(statuses),
    data: data.data.map(at),
  };
}

/** @param {{data: RunColumns, hidden: Set<string>}} props `data` has all runs in their order */
export function RunList({ data, hidden }) {
  const { ids, names, colours } = data;
  /** @param {number} from @param {number} to */
  const move = (from, to) => {
    if (!(from >= 0 && from < ids.length && to >= 0 && to < ids.length) || from === to) return;
    const runs = [...ids];
    runs.splice(to, 0, ...runs.splice(from, 1));
    change({ runs }, { replace: true });
  };
  /** @param {string[]} next */
  const hide = (next) => change({ hide: next.length ? next : null }, { replace: true });
  /** @param {string} id */
  const flip = (id) => hide(hidden.has(id) ? [...hidden].filter((one) => one !== id) : [...hidden, id]);
  /** @param {KeyboardEvent} event @param {number} n */
  const moved = (event, n) => {
    const step = STEPS[event.key];
    if (!event.altKey || !step) return;
    event.preventDefault();
    move(n, n + step);
  };
  return html`
    <aside class="run-list" aria-label="Compared runs">
      <p class="muted">
        ${
          hidden.size
            ? html`${ids.length - hidden.size} of ${ids.length} shown. <button class="quiet" onClick=${() => hide([])}>All</button>`
            : `${ids.length} runs`
        }
      </p>
      <ol>
        ${ids.map(
          (id, n) => html`
            <li
              key=${id}
              class=${nearest.value === id ? "lit" : ""}
              title="Drag to order, or alt + ↑ and ↓"
              draggable="true"
              onDragStart=${(event) => event.dataTransfer?.setData(DRAGGED, String(n))}
              onDragOver=${(event) => event.preventDefault()}
              onDrop=${(event) => (event.preventDefault(), move(Number(event.dataTransfer?.getData(DRAGGED) || NaN), n))}
              onKeyDown=${(event) => moved(event, n)}
              onMouseEnter=${() => (pointed.value = id)}
              onMouseLeave=${() => (pointed.value = null)}
              onFocusIn=${() => (pointed.value = id)}
              onFocusOut=${() => (pointed.value = null)}
            >
              <input type="checkbox" aria-label=${`Show ${names[n]}`} checked=${!hidden.has(id)} onChange=${() => flip(id)} />
              <${RunName} id=${id} name=${names[n]} colour=${colours[n]} />
            </li>
          `,
        )}
      </ol>
    </aside>
  `;
}
