// Curves of runs on a common axis: raw values, with the least and greatest of each bucket.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact@11.2.0/preact.js";
import uPlot from "./vendor/uplot@1.6.32/uplot.js";
import { useAnswer } from "./api.js";
import { moment, number } from "./format.js";
import { DASHES, Swatch, Wrong } from "./parts.js";

const HEIGHT = 220;
const BANDS_MAX = 8;
const TOOLTIP_MAX = 10;

/** A colour of the style sheet as a canvas takes it, which knows no `light-dark()`. */
function colourOf(name) {
  const probe = document.createElement("span");
  probe.style.setProperty("color", `var(${name})`);
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Spreads a series over the axis: null where it has no point. */
function spread(length, places, values) {
  const whole = new Array(length).fill(null);
  places.forEach((place, index) => {
    whole[place] = values[index];
  });
  return whole;
}

/** The columns that uPlot takes: x, and of each series last, least and greatest. */
function columns(answer) {
  const { x, series } = answer;
  return [
    x,
    ...series.flatMap((one) => [
      spread(x.length, one.places, one.last),
      spread(x.length, one.places, one.min),
      spread(x.length, one.places, one.max),
    ]),
  ];
}

function options(answer, runs, { width, x, log, onZoom, onHover }) {
  const line = colourOf("--line");
  const text = colourOf("--muted");
  const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  const single = answer.series.filter((one) => one.places.length === 1).map((one) => one.run);
  const bands = answer.series.length <= BANDS_MAX;
  const series = answer.series.flatMap((one) => {
    const run = runs.get(one.run);
    const stroke = colourOf(`--run-${run.colour % 8}`);
    const edge = { show: bands, stroke: "transparent", points: { show: false } };
    return [
      {
        label: run.name,
        stroke,
        width: 1.5,
        dash: DASHES[run.colour >> 3].map((length) => length * 2),
        spanGaps: true,
        points: { show: single.includes(one.run), size: 6, fill: stroke },
      },
      edge,
      edge,
    ];
  });
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { sync: { key: "studio", setSeries: false }, drag: { x: true, y: false }, points: { size: 6 } },
    scales: { x: { time: x === "time" }, y: { distr: log ? 3 : 1 } },
    axes: [
      { ...axis, values: x === "time" ? undefined : (_, ticks) => ticks.map(number) },
      { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : number(tick))) },
    ],
    series: [{}, ...series],
    bands: bands
      ? answer.series.map((one, index) => ({
          series: [3 * index + 3, 3 * index + 2],
          fill: colourOf(`--run-${runs.get(one.run).colour % 8}`).replace(/rgb\((.*)\)/, "rgba($1, 0.15)"),
        }))
      : [],
    hooks: {
      setCursor: [(plot) => onHover(plot.cursor.idx ?? null)],
      setSelect: [
        (plot) => {
          if (plot.select.width < 4) return;
          onZoom([
            plot.posToVal(plot.select.left, "x"),
            plot.posToVal(plot.select.left + plot.select.width, "x"),
          ]);
        },
      ],
    },
  };
}

/**
 * One metric of some runs. `runs` is a map from ids to {name, colour}. Dragging asks for a part of
 * the axis in full resolution, a double click for all of it.
 */
export function Chart({ metric, runs, x = "step", log = false, zoom, onZoom }) {
  const frame = useRef(null);
  const plot = useRef(null);
  const [seen, setSeen] = useState(false);
  const [at, setAt] = useState(null);
  const [width, setWidth] = useState(0);
  const ids = [...runs.keys()];
  const params = { run: ids, metric, x, buckets: 1000, from: zoom?.[0], to: zoom?.[1] };
  const answer = useAnswer("charts", params, { runs: ids, skip: !seen }).value;

  useLayoutEffect(() => {
    const watch = new IntersectionObserver((found) => {
      if (found.some((one) => one.isIntersecting)) setSeen(true);
    });
    const size = new ResizeObserver(() => setWidth(frame.current.clientWidth));
    watch.observe(frame.current);
    size.observe(frame.current);
    return () => {
      watch.disconnect();
      size.disconnect();
    };
  }, []);
  useEffect(() => {
    if (!answer.data?.x.length || !width) return undefined;
    const drawn = new uPlot(
      options(answer.data, runs, { width, x, log, onZoom, onHover: setAt }),
      columns(answer.data),
      frame.current,
    );
    plot.current = drawn;
    return () => drawn.destroy();
  }, [answer.data, width, log, document.documentElement.dataset.theme]);

  const odd = answer.data?.series.flatMap((one) => one.odd) ?? [];
  const oddCount = odd.reduce((sum, [, nan, up, down]) => sum + nan + up + down, 0);
  return html`
    <figure class="chart" aria-label=${metric}>
      <figcaption>
        <bdi>${metric}</bdi>
        ${oddCount ? html`<span class="odd" title="NaN or infinite">▾ ${oddCount} not finite</span>` : ""}
        ${zoom ? html`<button class="quiet" onClick=${() => onZoom(null)}>Whole axis</button>` : ""}
      </figcaption>
      <div ref=${frame} class="chart-frame" onDblClick=${() => onZoom(null)}></div>
      ${answer.error ? html`<${Wrong} error=${answer.error} />` : ""}
      ${answer.data && !answer.data.x.length ? html`<p class="muted">No numbers were logged yet.</p>` : ""}
      ${at !== null && answer.data ? html`<${Tooltip} answer=${answer.data} runs=${runs} at=${at} x=${x} />` : ""}
    </figure>
  `;
}

/** The values of all runs at a place of the axis, the greatest first. */
function Tooltip({ answer, runs, at, x }) {
  const values = answer.series
    .map((one) => ({ run: runs.get(one.run), value: one.last[one.places.indexOf(at)] }))
    .filter(({ value }) => value !== undefined && value !== null)
    .sort((a, b) => b.value - a.value);
  const place = x === "time" ? moment(answer.x[at] * 1000) : `${x} ${number(answer.x[at])}`;
  return html`
    <div class="tooltip" role="status">
      <div class="muted">${place}</div>
      ${values.slice(0, TOOLTIP_MAX).map(
        ({ run, value }) => html`
          <div class="tooltip-row">
            <${Swatch} colour=${run.colour} /> <bdi>${run.name}</bdi> <b>${number(value)}</b>
          </div>
        `,
      )}
      ${values.length > TOOLTIP_MAX ? html`<div class="muted">+ ${values.length - TOOLTIP_MAX}</div>` : ""}
    </div>
  `;
}
