// A chart of one metric: curves of runs on a common axis, drawn as they grow.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact@11.2.0/preact.js";
import uPlot from "./vendor/uplot@1.6.32/uplot.js";
import { useAnswer } from "./api.js";
import { BANDS_MAX, drawing, notPositive, positiveX, valueAt } from "./curves.js";
import { ELAPSED, duration, elapsed, moment, number, tick } from "./format.js";
import { nearest as nearestRun, pointed } from "./lit.js";
import { DASHES, Swatch, Wrong, isActive, useWidth } from "./parts.js";
import { AXIS, colourOf, redrawn } from "./theme.js";
import { copy } from "./view.js";
import { useWaiting } from "./waiting.js";

const HEIGHT = 220;
const BUCKETS_MAX = 1000;
const TOOLTIP_MAX = 10;
const BAND_ALPHA = 0.15;
const KEY_STEPS = 50;

function seriesOf(line) {
  const stroke = () => (line.isEdge ? "transparent" : colourOf(`--run-${line.colour % 8}`, line.alpha));
  return {
    label: line.key,
    stroke,
    width: line.width,
    dash: line.dash ? DASHES[line.colour >> 3].map((length) => length * 2) : [],
    spanGaps: false,
    points: { show: line.alone.length > 0, filter: () => line.alone, size: 6, fill: stroke },
  };
}

/** The range of a scale: that of the values, or the span without outliers. */
const rangeOf = (isLog, span) => {
  if (isLog) return {};
  if (!span)
    return {
      range: (_, low, high) =>
        low === 0 && high === 0 ? [-1, 1] : low === null ? [null, null] : uPlot.rangeNum(low, high, 0.1, true),
    };
  const room = (span[1] - span[0] || 1) * 0.05;
  return { range: [span[0] - room, span[1] + room] };
};

/** The range of an axis; a single point stands in the middle of an hour, or beside other steps. */
const rangeOfX = (isTime) => (plot, low, high) => {
  const [only, second] = plot.data[0];
  if (second !== undefined || (!isTime && only !== 0)) return [low, high];
  return isTime ? [only - 1800, only + 1800] : [-1, 1];
};

/** NaN ▾ at the lower edge, infinite values ▴ at the edge where they would be. */
function drawMarks(plot, marks) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.font = `${10 * devicePixelRatio}px sans-serif`;
  ctx.textAlign = "center";
  for (const { place, colour, nan, up, down } of marks) {
    const x = plot.valToPos(plot.data[0][place], "x", true);
    if (!(x >= bbox.left && x <= bbox.left + bbox.width)) continue;
    ctx.fillStyle = colourOf(`--run-${colour % 8}`);
    if (nan) ctx.fillText("▾", x, bbox.top + bbox.height - 2);
    if (up) ctx.fillText("▴", x, bbox.top + 10 * devicePixelRatio);
    if (down) ctx.fillText("▴", x, bbox.top + bbox.height - 12 * devicePixelRatio);
  }
  ctx.restore();
}

function options(shown, { width, height, x, isLog, isLogX, span, part, marks, onZoom, onHover }) {
  const hasPositive = shown.lines.some((one) => one.values.some((value) => value > 0));
  const told = (_, ticks) => ticks.map((value) => (value === null ? "" : tick(value)));
  return {
    width,
    height,
    legend: { show: false },
    focus: { alpha: 0.2 },
    cursor: { sync: { key: "studio", setSeries: false }, drag: { x: true, y: false }, points: { size: 6 } },
    scales: {
      x: {
        time: x === "time",
        distr: isLogX ? 3 : 1,
        ...(isLogX && !part ? {} : { range: part ?? rangeOfX(x === "time") }),
      },
      y: { distr: isLog && hasPositive ? 3 : 1, ...rangeOf(isLog, span) },
    },
    axes: [
      x === "since"
        ? {
            ...AXIS,
            incrs: ELAPSED,
            values: (_, ticks, _place, _space, step) => ticks.map((value) => elapsed(value, step)),
          }
        : { ...AXIS, values: x === "time" ? undefined : told },
      { ...AXIS, size: 64, values: told },
    ],
    series: [{}, ...shown.lines.map(seriesOf)],
    bands: shown.bands.map(({ upper, lower, colour }) => ({
      series: [upper, lower],
      fill: () => colourOf(`--run-${colour % 8}`, BAND_ALPHA),
    })),
    hooks: {
      setCursor: [(plot) => onHover(plot.cursor.idx ?? null, plot.posToVal(plot.cursor.top, "y"))],
      draw: [(plot) => drawMarks(plot, marks())],
      setSelect: [
        (plot) => {
          if (plot.select.width < 4) return;
          onZoom([plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x")]);
        },
      ],
    },
  };
}

/** Whether the frame is in view; it stays true once it was, as `everSeen`. */
function useView(frame) {
  const [seen, setSeen] = useState({ now: false, ever: false });
  const width = useWidth(frame);
  useLayoutEffect(() => {
    const tell = (now) => setSeen((held) => ({ now, ever: held.ever || now }));
    const { top, bottom } = frame.current.getBoundingClientRect();
    if (top < innerHeight && bottom > 0) tell(true); // The observer says it a frame later.
    const watch = new IntersectionObserver((found) => tell(found.at(-1).isIntersecting));
    watch.observe(frame.current);
    return () => watch.disconnect();
  }, []);
  return { ...seen, width };
}

/** Draws into the frame; new values of the same curves go into the plot that is there. */
function usePlot(frame, shown, x, settings) {
  const plot = useRef(null);
  const drawn = useRef(null);
  drawn.current = shown;
  const { width, isLog, isLogX, span } = settings;
  const isThere = Boolean(shown && x.length && width);
  const structure =
    isThere &&
    JSON.stringify([
      shown.lines.map((line) => [line.key, line.colour, line.alpha, line.alone.length > 0]),
      shown.bands,
      width,
      settings.height,
      isLog,
      isLogX,
      settings.x,
      span,
      settings.part,
    ]);
  useLayoutEffect(() => {
    if (!isThere) return undefined;
    const marks = () => drawn.current?.marks ?? [];
    plot.current = new uPlot(
      options(shown, { ...settings, marks }),
      [x, ...shown.lines.map((line) => line.values)],
      frame.current,
    );
    const end = redrawn(plot.current);
    return () => {
      end();
      plot.current.destroy();
      plot.current = null;
    };
  }, [structure]);
  useLayoutEffect(() => {
    if (!plot.current || plot.current.data[0] === x) return;
    shown.lines.forEach((line, n) => {
      plot.current.series[n + 1].points.filter = () => line.alone;
    });
    plot.current.setData([x, ...shown.lines.map((line) => line.values)]);
  }, [shown]);
  useEffect(
    () =>
      pointed.subscribe((id) => {
        const place = drawn.current?.lines.findIndex((line) => line.key === id) ?? -1;
        plot.current?.setSeries(place < 0 ? null : place + 1, { focus: true });
      }),
    [],
  );
  return plot;
}

/** Reads and zooms a plot by keys: arrows move the place, + shows half of the axis, - all of it. */
function byKeys(event, plot, onZoom) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!plot || !(step || ["+", "-"].includes(event.key))) return;
  event.preventDefault();
  const { clientWidth: width, clientHeight: height } = plot.over;
  const left = plot.cursor.left >= 0 ? plot.cursor.left : width / 2;
  if (step) plot.setCursor({ left: Math.min(width, Math.max(0, left + (step * width) / KEY_STEPS)), top: height / 2 });
  else if (event.key === "-") onZoom(null);
  else onZoom([left - width / 4, left + width / 4].map((at) => plot.posToVal(Math.min(width, Math.max(0, at)), "x")));
}

/**
 * One metric of some runs. `runs` is a map from ids to {name, colour, status}, `look` says how:
 * {x, isLog, isLogX, smooth, band, group, clip}; `height` is in pixels. Dragging asks for a part of the axis in full
 * resolution, a double click for all of it.
 */
export function Chart({ metric, runs, asked, look, zoom, onZoom, height = HEIGHT }) {
  const frame = useRef(null);
  const view = useView(frame);
  const [at, setAt] = useState({ place: null, y: null });
  const [opened, open] = useState(new Set());
  const ids = [...runs.keys()];
  const active = ids.filter((id) => isActive(runs.get(id).status));
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
  const found = useAnswer("charts", params, { runs: ids, skip: !(view.ever && view.width), turn }).value;
  const names = ids.join();
  const answer = useMemo(() => {
    if (!found.data) return null;
    const own = { ...found.data, series: found.data.series.filter(({ run }) => runs.has(run)) };
    return look.isLogX ? positiveX(own) : own;
  }, [found.data, look.isLogX, names]);
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
  const flip = (group) => {
    const next = new Set(opened);
    if (!next.delete(group)) next.add(group);
    open(next);
  };
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
      ${answer ? html`<p class="unseen">${inWords(answer, look, shown)}</p>` : ""}
      ${answer?.groups ? html`<${Groups} groups=${answer.groups} opened=${opened} flip=${flip} />` : ""}
      ${found.error ? html`<${Wrong} error=${found.error} />` : ""}
      ${answer && !answer.x.length ? html`<p class="muted">${NOTHING(look, zoom)}</p>` : ""}
      ${
        at.place !== null && answer?.x.length > at.place
          ? html`<${Tooltip} answer=${answer} runs=${runs} at=${at} x=${look.x} />`
          : ""
      }
    </figure>
  `;
}

/** A bucket for each pixel, rounded up: another width asks again. A copy has one resolution. */
const bucketsFor = (width) =>
  copy ? BUCKETS_MAX : Math.min(BUCKETS_MAX, 100 * Math.ceil((width * devicePixelRatio) / 100));

const NOTHING = (look, zoom) => {
  if (zoom) return "No numbers in this part of the axis.";
  if (look.isLogX) return "No numbers at a positive x: a logarithmic axis has no others.";
  return "No numbers were logged yet.";
};

/** The picture for those who do not see it. */
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

/** What the picture does not show by itself. */
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

/** The values at a place of the axis, the greatest first, the one nearest to the pointer in bold. */
function Tooltip({ answer, runs, at, x }) {
  const entries = answer.groups
    ? answer.groups.map((one, n) => ({
        key: one.group,
        colour: n % 8,
        places: one.places,
        values: one.smooth ?? one.mean,
      }))
    : answer.series.map((one) => ({
        id: one.run,
        key: runs.get(one.run).name,
        colour: runs.get(one.run).colour,
        places: one.places,
        values: one.smooth ?? one.last,
      }));
  const values = entries
    .map((one) => ({ ...one, value: valueAt(one.places, one.values, at.place) }))
    .filter(({ value }) => value !== null && value !== undefined)
    .sort((a, b) => b.value - a.value);
  const distance = ({ value }) => Math.abs(value - at.y);
  const nearest = values.reduce((best, one) => (best && distance(best) <= distance(one) ? best : one), null);
  useEffect(() => {
    nearestRun.value = nearest?.id ?? null;
    return () => (nearestRun.value = null);
  }, [nearest?.id]);
  const first = Math.max(0, Math.min(values.indexOf(nearest) - TOOLTIP_MAX / 2, values.length - TOOLTIP_MAX));
  const value = answer.x[at.place];
  const place =
    x === "time" ? moment(value * 1000) : x === "since" ? `after ${duration(value)}` : `${x} ${number(value)}`;
  return html`
    <div class="tooltip" role="status">
      <div class="muted">${place}</div>
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
