// The plot of a chart: drawn into its frame, and read and zoomed by keys.

import { useEffect, useLayoutEffect, useRef } from "./vendor/preact@11.2.0/preact.js";
import uPlot from "./vendor/uplot@1.6.32/uplot.js";
import { ELAPSED, elapsed, tick } from "./format.js";
import { pointed } from "./lit.js";
import { DASHES } from "./parts.js";
import { AXIS, colourOf, redrawn } from "./theme.js";

/** @import { Spans } from "answers" */
/** @import { Look } from "./charts.js" */
/** @import { Drawing, Line } from "./curves.js" */
/** @import { Ref } from "./vendor/preact@11.2.0/preact.js" */
/** @import { Marks, Options, Scale, Series } from "./vendor/uplot@1.6.32/uplot.js" */
/**
 * @typedef {[low: number, high: number]} Zoom a part of the axis
 * @typedef {(zoom: Zoom | null) => void} OnZoom null for the whole axis
 * @typedef {Spans[string] | undefined} Span
 * @typedef {Look & {width: number, height: number, span: Span, part: Zoom | null, onZoom: OnZoom,
 *   onHover: (place: number | null, y: number) => void}} Settings
 */

const BAND_ALPHA = 0.15;
const KEY_STEPS = 50;

/** @param {Line} line @returns {Series} */
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

/**
 * The range of a scale: that of the values, or the span without outliers.
 * @param {boolean} isLog @param {Span} span @returns {Scale}
 */
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

/**
 * The range of an axis; a single point stands in the middle of an hour, or beside other steps.
 * @param {boolean} isTime @returns {Exclude<Scale["range"], undefined>}
 */
const rangeOfX = (isTime) => (plot, low, high) => {
  const [only, second] = plot.data[0];
  if (second !== undefined || (!isTime && only !== 0)) return [low, high];
  return isTime ? [only - 1800, only + 1800] : [-1, 1];
};

/**
 * NaN ▾ at the lower edge, infinite values ▴ at the edge where they would be.
 * @param {uPlot} plot @param {Drawing["marks"]} marks
 */
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

/** @param {Drawing} shown @param {Settings & {marks: () => Drawing["marks"]}} settings @returns {Options} */
function options(shown, { width, height, x, isLog, isLogX, span, part, marks, onZoom, onHover }) {
  const hasPositive = shown.lines.some((one) => one.values.some((value) => (value ?? 0) > 0));
  /** @type {Marks} */
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

/**
 * Draws into the frame; new values of the same curves go into the plot that is there.
 * @param {Ref<HTMLElement | null>} frame @param {Drawing | null} shown @param {number[]} x
 * @param {Settings} settings
 */
export function usePlot(frame, shown, x, settings) {
  const plot = useRef(/** @type {uPlot | null} */ (null));
  const drawn = useRef(shown);
  drawn.current = shown;
  const { width, isLog, isLogX, span } = settings;
  const isThere = shown !== null && x.length > 0 && width > 0;
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
    if (!isThere || !frame.current) return undefined;
    const marks = () => drawn.current?.marks ?? [];
    const own = new uPlot(
      options(shown, { ...settings, marks }),
      [x, ...shown.lines.map((line) => line.values)],
      frame.current,
    );
    plot.current = own;
    const end = redrawn(own);
    return () => {
      end();
      own.destroy();
      plot.current = null;
    };
  }, [structure]);
  useLayoutEffect(() => {
    const own = plot.current;
    if (!own || !shown || own.data[0] === x) return;
    shown.lines.forEach((line, n) => {
      own.series[n + 1].points.filter = () => line.alone;
    });
    own.setData([x, ...shown.lines.map((line) => line.values)]);
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

/**
 * Reads and zooms a plot by keys: arrows move the place, + shows half of the axis, - all of it.
 * @param {KeyboardEvent} event @param {uPlot | null} plot @param {OnZoom} onZoom
 */
export function byKeys(event, plot, onZoom) {
  const step = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
  if (!plot || !(step || ["+", "-"].includes(event.key))) return;
  event.preventDefault();
  const { clientWidth: width, clientHeight: height } = plot.over;
  const left = plot.cursor.left >= 0 ? plot.cursor.left : width / 2;
  if (step) plot.setCursor({ left: Math.min(width, Math.max(0, left + (step * width) / KEY_STEPS)), top: height / 2 });
  else if (event.key === "-") onZoom(null);
  else onZoom([valueIn(plot, left - width / 4), valueIn(plot, left + width / 4)]);
}

/**
 * The value at a place of the x axis, in pixels; at the nearer end outside of it.
 * @param {uPlot} plot @param {number} at
 */
const valueIn = (plot, at) => plot.posToVal(Math.min(plot.over.clientWidth, Math.max(0, at)), "x");
