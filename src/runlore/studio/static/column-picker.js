// Which columns a table has, and in which order: found by their names among thousands.

import { html, useEffect, useState } from "./vendor/preact@11.2.0/preact.js";
import { ask } from "./api.js";
import { parseColumn } from "./run-columns.js";
import { asof, change } from "./view.js";

const ATTRIBUTES = [
  ...["status", "duration", "created", "user", "experiment", "number", "started", "ended", "description"],
  ...["host", "target", "script", "git_commit", "error", "parent", "archived", "lost"],
];
const SHOWN_MAX = 100;

/** @param {{columns: string[], experiment?: string}} props columns as addresses have them */
export function ColumnPicker({ columns, experiment }) {
  const [open, setOpen] = useState(false);
  return html`
    <details class="picker" onToggle=${(event) => setOpen(event.currentTarget.open)}>
      <summary>Columns</summary>
      ${open ? html`<${Picker} columns=${columns} experiment=${experiment} />` : ""}
    </details>
  `;
}

/** @param {{columns: string[], experiment?: string}} props */
function Picker({ columns, experiment }) {
  const [part, setPart] = useState("");
  const found = useFields(part, experiment);
  const fields = columns.map((text) => parseColumn(text).field);
  const known = [...ATTRIBUTES.filter((field) => field.includes(part.toLowerCase())), ...(found?.fields ?? [])];
  const others = known.filter((field) => !fields.includes(field));
  /** @param {string[]} next */
  const put = (next) => change({ cols: next }, { replace: true });
  /** @param {number} index @param {number} by */
  const move = (index, by) => {
    const next = [...columns];
    [next[index], next[index + by]] = [next[index + by], next[index]];
    put(next);
  };
  return html`
    <div class="popup">
      <ol aria-label="Shown columns">
        ${columns.map((text, index) => {
          const { field } = parseColumn(text);
          return html`
            <li key=${field} class="picked">
              <bdi title=${field}>${field}</bdi>
              <button class="quiet" disabled=${index === 0} aria-label=${`${field} further left`} onClick=${() => move(index, -1)}>↑</button>
              <button
                class="quiet"
                disabled=${index === columns.length - 1}
                aria-label=${`${field} further right`}
                onClick=${() => move(index, 1)}
              >↓</button>
              <button class="quiet" aria-label=${`Without ${field}`} onClick=${() => put(columns.filter((_, n) => n !== index))}>✕</button>
            </li>
          `;
        })}
      </ol>
      <input
        type="search"
        aria-label="Find a column"
        placeholder="Find config, tags, properties, metrics"
        value=${part}
        onInput=${(event) => setPart(event.currentTarget.value)}
      />
      <ul aria-label="Further columns">
        ${others.slice(0, SHOWN_MAX).map(
          (field) => html`
            <li key=${field}>
              <button class="add" aria-label=${`With ${field}`} onClick=${() => put([...columns, field])}>
                + <bdi>${field}</bdi>
              </button>
            </li>
          `,
        )}
      </ul>
      ${found === null ? html`<p class="muted">Loading…</p>` : ""}
      ${found && !others.length ? html`<p class="muted">No further field has this in its name.</p>` : ""}
      ${others.length > SHOWN_MAX ? html`<p class="muted">The first ${SHOWN_MAX}; type more of the name.</p>` : ""}
      <button class="quiet" onClick=${() => change({ cols: null })}>As at first</button>
    </div>
  `;
}

/**
 * The fields of runs whose names have a part; null while they are asked for.
 * @param {string} part @param {string} [experiment]
 */
function useFields(part, experiment) {
  const [found, setFound] = useState(/** @type {{fields: string[]} | null} */ (null));
  useEffect(() => {
    const over = new AbortController();
    const timer = setTimeout(async () => {
      try {
        setFound(await ask("columns", { part, experiment, limit: 200 }, over.signal));
      } catch {
        if (!over.signal.aborted) setFound({ fields: [] });
      }
    }, 150);
    return () => {
      clearTimeout(timer);
      over.abort();
    };
  }, [part, experiment, asof.value]);
  return found;
}
