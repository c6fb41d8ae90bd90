// The metrics of active runs in a table, with the values that were logged a moment ago.

import { useEffect, useMemo, useState } from "../vendor/preact@11.2.0/preact.js";
import { useAnswer } from "../api.js";
import { isActive } from "../parts.js";
import { asof } from "../view.js";
import { useWaiting } from "../waiting.js";
import { metricOf } from "../run-columns.js";

/** @import { AnswerTo, RunRows } from "answers" */
/** @import { Row } from "../row-pages.js" */
/** @typedef {Map<string, {value: unknown, until: number}>} Cells values by field, and until which position */

const RUNS_MAX = 100;

/**
 * The present value of a cell: (row, index of the column) => value. Those of the rows in view are
 * asked for when they have a new one.
 * @param {Row<RunRows>[]} rows those in view @param {string[]} fields the columns
 */
export function useLiveCells(rows, fields) {
  const cols = fields.filter((field) => metricOf(field) !== null);
  const metrics = cols.map(metricOf).filter((metric) => metric !== null);
  const ids = rows
    .filter(({ answer, place }) => isActive(answer.statuses[place]))
    .map(({ answer, place }) => answer.ids[place])
    .slice(0, RUNS_MAX)
    .sort(); // In the same order however the table is sorted.
  const isSeen = ids.length > 0 && cols.length > 0 && asof.value === null;
  const turn = useWaiting(isSeen ? ids : [], metrics, isSeen);
  const { data } = useAnswer("live/cells", { run: ids, cols }, { runs: ids, skip: !isSeen || !turn, turn }).value;
  const held = useHeld(data);
  /** @param {Row<RunRows>} row @param {number} index */
  return ({ answer, place }, index) => {
    const value = answer.data[index]?.[place];
    if (asof.value !== null || !isActive(answer.statuses[place])) return value;
    const live = held.get(answer.ids[place])?.get(fields[index]);
    // What is written since then is in the answer only if that is later.
    return live && live.until > answer.position ? live.value : value;
  };
}

/**
 * All that was told: what is no longer live is in the log from the position on at which it was not.
 * @param {AnswerTo<"live/cells"> | null} data
 */
function useHeld(data) {
  const held = useMemo(() => /** @type {Map<string, Cells>} */ (new Map()), []);
  const [, draw] = useState(0);
  useEffect(() => {
    if (!data) return;
    for (const own of held.values()) for (const one of own.values()) one.until = Math.min(one.until, data.position);
    for (const [id, own] of Object.entries(data.cells)) {
      /** @type {Cells} */
      const cells = held.get(id) ?? new Map();
      held.set(id, cells);
      for (const [field, value] of Object.entries(own)) cells.set(field, { value, until: Infinity });
    }
    draw((turn) => turn + 1);
  }, [data]);
  return held;
}
