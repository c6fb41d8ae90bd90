// A chart of one metric: curves of runs on a common axis, drawn as they grow.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact@11.2.0/preact.js";
import { useAnswer } from "./api.js";
import { BANDS_MAX, drawing, notPositive, positiveX, valueAt } from "./curves.js";
import { duration, moment, number } from "./format.js";
import { nearest as nearestRun } from "./lit.js";
import { Swatch, Wrong, isActive, useWidth } from "./parts.js";
import { byKeys, usePlot } from "./plot.js";
import { copy } from "./view.js";
import { useWaiting } from "./waiting.js";

/** @import { ChartAnswer } from "answers" */
/** @import { Look } from "./charts.js" */
/** @import { Drawing } from "./curves.js" */
/** @import { OnZoom, Span, Zoom } from "./plot.js" */
/** @import { Ref } from "./vendor/preact@11.2.0/preact.js" */
/**
 * @typedef {Map<string, {name: string, colour: number, status: string}>} ShownRuns by id
 * @typedef {{place: number | null, y: number | null}} At where the pointer is: the place of x, and the value
 */

const HEIGHT = 220;
const BUCKETS_MAX = 1000;
const TOOLTIP_MAX = 10;

/** Whether the frame is in view; it stays true once it was, as `ever`. @param {Ref<HTMLElement | null>} frame */
function useView(frame) {
  const [seen, setSeen] = useState({ now: false, ever: false });
  const width = useWidth(frame);
  useLayoutEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    /** @param {boolean} now */
    const tell = (now) => setSeen((held) => ({ now, ever: held.ever || now }));
    const { top, bottom } = element.getBoundingClientRect();
    if (top < innerHeight && bottom > 0) tell(true); // The observer says it a frame later.
    const watch = new IntersectionObserver((found) => tell(found.at(-1)?.isIntersecting ?? false));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  return { ...seen, width };
}

/**
 * The curves of a chart: asked for once it is in view, and then as they grow. `answer` has only the
 * runs that are shown.
 * @param {ChartProps} props @param {{now: boolean, ever: boolean, width: number}} view
 */
function useCurves({ metric, runs, asked, look, zoom }, view) {
  const ids = [...runs.keys()];
  const active = ids.filter((id) => isActive(runs.get(id)?.status ?? ""));
  const params = {
    run: asked ?? ids,
    metric,
    x: look.x,
    buckets: bucketsFor(view.width),
    from: copy ? undefined : zoom?.[0], // A copy has only the whole axis.
    to: copy ? undefined : zoom?.[1],
    smooth: look.smooth,
    group: look.group,
    bands: copy ? undefined : look.band === "none" || look.group ? 0 : BANDS_MAX,
  };
  const turn = useWaiting(active, metric, view.now);
  const { data, error } = useAnswer("charts", params, { runs: ids, skip: !(view.ever && view.width), turn }).value;
  const answer = useMemo(() => {
    if (!data) return null;
    const own = { ...data, series: data.series.filter(({ run }) => runs.has(run)) };
    return look.isLogX ? positiveX(own) : own;
  }, [data, look.isLogX, ids.join()]);
  return { answer, error };
}

/** A set that a value is put into, or taken out of. @returns {[Set<string>, (value: string) => void]} */
function useFlipped() {
  const [held, hold] = useState(/** @type {Set<string>} */ (new Set()));
  /** @param {string} value */
  const flip = (value) => {
    const next = new Set(held);
    if (!next.delete(value)) next.add(value);
    hold(next);
  };
  return [held, flip];
}

/**
 * One metric of some runs. `asked` are the ids whose curves are asked for, if these are more than
 * those that are shown; `height` is in pixels. Dragging asks for a part of the axis in full
 * resolution, a double click for all of it.
 * @typedef {{metric: string, runs: ShownRuns, asked?: string[], look: Look, zoom: Zoom | null, onZoom: OnZoom,
 *   height?: number}} ChartProps
 * @param {ChartProps} props
 */
export function Chart(props) {
  const { metric, runs, look, zoom, onZoom, height = HEIGHT } = props;
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const view = useView(frame);
  const [at, setAt] = useState(/** @type {At} */ ({ place: null, y: null }));
  const [opened, flip] = useFlipped();
  const { answer, error } = useCurves(props, view);
  const shown = useMemo(
    () => answer && drawing(answer, runs, { band: look.band, isLog: look.isLog, opened }),
    [answer, look.band, look.isLog, opened],
  );
  const span = look.clip ? answer?.spans[metric] : null;
  const plot = usePlot(frame, shown, answer?.x ?? [], {
    ...look,
    width: view.width,
    height,
    span,
    part: copy ? zoom : null,
    onZoom,
    onHover: (place, y) => setAt({ place, y }),
  });
  return html`
    <figure class="chart" aria-label=${metric}>
      <figcaption>
        <bdi>${metric}</bdi>
        ${answer ? html`<${Notes} answer=${answer} look=${look} span=${span} />` : ""}
        ${zoom ? html`<button class="quiet" onClick=${() => onZoom(null)}>Whole axis</button>` : ""}
      </figcaption>
      <div
        ref=${frame}
        class="chart-frame"
        style=${{ minHeight: `${height}px` }}
        tabindex="0"
        role="group"
        aria-label=${`Curves of ${metric}`}
        onDblClick=${() => onZoom(null)}
        onKeyDown=${(event) => byKeys(event, plot.current, onZoom)}
        onBlur=${() => plot.current?.setCursor({ left: -10, top: -10 })}
      ></div>
      ${answer && shown ? html`<p class="unseen">${inWords(answer, look, shown)}</p>` : ""}
      ${answer?.groups ? html`<${Groups} groups=${answer.groups} opened=${opened} flip=${flip} />` : ""}
      ${error ? html`<${Wrong} error=${error} />` : ""}
      ${answer && !answer.x.length ? html`<p class="muted">${NOTHING(look, zoom)}</p>` : ""}
      ${
        at.place !== null && answer && answer.x.length > at.place
          ? html`<${Tooltip} answer=${answer} runs=${runs} place=${at.place} y=${at.y} x=${look.x} />`
          : ""
      }
    </figure>
  `;
}

/** A bucket for each pixel, rounded up: another width asks again. A copy has one resolution. @param {number} width */
const bucketsFor = (width) =>
  copy ? BUCKETS_MAX : Math.min(BUCKETS_MAX, 100 * Math.ceil((width * devicePixelRatio) / 100));

/** Why there are no curves. @param {Look} look @param {Zoom | null} zoom */
const NOTHING = (look, zoom) => {
  if (zoom) return "No numbers in this part of the axis.";
  if (look.isLogX) return "No numbers at a positive x: a logarithmic axis has no others.";
  return "No numbers were logged yet.";
};

/** The picture for those who do not see it. @param {ChartAnswer} answer @param {Look} look @param {Drawing} shown */
function inWords(answer, look, shown) {
  const points = answer.series.reduce((sum, one) => sum + one.total, 0);
  const singles = shown.lines.filter((line) => !line.isEdge && !line.key.startsWith("group ")).length;
  return [
    `${points} points of ${answer.series.length} runs`,
    answer.groups && `in ${answer.groups.length} groups with ${singles} single curves`,
    look.smooth && `smoothed over ${look.smooth} steps`,
    `band: ${look.band}`,
  ]
    .filter(Boolean)
    .join(", ");
}

/** What the picture does not show by itself. @param {{answer: ChartAnswer, look: Look, span: Span}} props */
function Notes({ answer, look, span }) {
  const odd = answer.series.flatMap((one) => one.odd);
  const nan = odd.reduce((sum, [, count]) => sum + count, 0);
  const infinite = odd.reduce((sum, [, , up, down]) => sum + up + down, 0);
  const negative = look.isLog ? notPositive(answer) : 0;
  const notes = [
    nan && `▾ ${nan} NaN`,
    infinite && `▴ ${infinite} infinite`,
    span?.[2] && `${span[2]} clipped`,
    negative && `${negative} not positive`,
  ].filter(Boolean);
  return notes.length ? html`<span class="odd">${notes.join(" · ")}</span>` : "";
}

/**
 * @param {{groups: Exclude<ChartAnswer["groups"], undefined>, opened: Set<string>, flip: (group: string) => void}} props
 */
function Groups({ groups, opened, flip }) {
  return html`
    <ul class="legend">
      ${groups.map(
        ({ group, run_ids }, number) => html`
          <li key=${group}>
            <button class="quiet" aria-pressed=${String(opened.has(group))} onClick=${() => flip(group)}>
              <${Swatch} colour=${number % 8} /> <bdi>${group}</bdi> <span class="muted">${run_ids.length} runs</span>
            </button>
          </li>
        `,
      )}
    </ul>
  `;
}

/**
 * The values at a place of the axis, the greatest first, the one nearest to the pointer in bold.
 * @param {{answer: ChartAnswer, runs: ShownRuns, place: number, y: number | null, x: string}} props
 *   where the pointer is: the place of x, and the value
 */
function Tooltip({ answer, runs, place, y, x }) {
  const entries = answer.groups
    ? answer.groups.map((one, n) => ({
        id: null,
        key: one.group,
        colour: n % 8,
        value: valueAt(one.places, one.smooth ?? one.mean, place),
      }))
    : answer.series.map((one) => ({
        id: one.run,
        key: runs.get(one.run)?.name ?? one.run,
        colour: runs.get(one.run)?.colour ?? 0,
        value: valueAt(one.places, one.smooth ?? one.last, place),
      }));
  const values = entries.flatMap(({ value, ...one }) => (value === null ? [] : [{ ...one, value }]));
  values.sort((a, b) => b.value - a.value);
  const nearest = nearestTo(y ?? NaN, values);
  useEffect(() => {
    nearestRun.value = nearest?.id ?? null;
    return () => (nearestRun.value = null);
  }, [nearest?.id]);
  const middle = nearest ? values.indexOf(nearest) : -1;
  const first = Math.max(0, Math.min(middle - TOOLTIP_MAX / 2, values.length - TOOLTIP_MAX));
  const value = answer.x[place];
  const told =
    x === "time" ? moment(value * 1000) : x === "since" ? `after ${duration(value)}` : `${x} ${number(value)}`;
  return html`
    <div class="tooltip" role="status">
      <div class="muted">${told}</div>
      ${values.slice(first, first + TOOLTIP_MAX).map(
        (one) => html`
          <div class=${`tooltip-row ${one === nearest ? "nearest" : ""}`} title=${String(one.value)}>
            <${Swatch} colour=${one.colour} /> <bdi>${one.key}</bdi> <b>${number(one.value)}</b>
          </div>
        `,
      )}
      ${values.length > TOOLTIP_MAX ? html`<div class="muted">+ ${values.length - TOOLTIP_MAX}</div>` : ""}
    </div>
  `;
}

/**
 * The one whose value is nearest to y; null if there is none.
 * @template {{value: number}} Entry @param {number} y @param {Entry[]} entries
 */
function nearestTo(y, entries) {
  /** @type {Entry | null} */
  let best = null;
  for (const one of entries) if (!best || Math.abs(one.value - y) < Math.abs(best.value - y)) best = one;
  return best;
}
