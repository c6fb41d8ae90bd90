// The charts of some metrics, grouped by the part before the slash, with one toolbar for all.

import { html, useState } from "./vendor/preact@11.2.0/preact.js";
import { Chart } from "./chart.js";
import { Section } from "./parts.js";
import { change, copy, view } from "./view.js";

/** @import { View } from "./view.js" */
/** @import { ShownRuns } from "./chart.js" */
/** @import { Zoom } from "./plot.js" */
/** @typedef {ReturnType<typeof lookOf>} Look how charts look */

const CHARTS_AT_ONCE = 12;
const RUNS_MAX = 200; // The server has no more in a chart.
/** @type {Record<string, string>} */
const AXES = { step: "step", since: "time since start", time: "time" };
/** @type {Record<string, string>} */
const BANDS = { minmax: "min–max", std: "± std", none: "none" };

/** How the address says that charts look. @param {Partial<View>} view */
export function lookOf({ x: axis = "step", y, xl, smooth, band = "minmax", group, clip }) {
  const x = copy && !Object.hasOwn(AXES, axis) ? "step" : axis; // No other curves are in a copy.
  const halfLife = copy ? NaN : Number(smooth);
  return {
    x,
    isLog: y === "log",
    isLogX: xl === "log" && x !== "time",
    smooth: halfLife > 0 && Number.isFinite(halfLife) ? halfLife : undefined,
    band: BANDS[band] ? band : "minmax",
    group: copy ? undefined : group,
    clip: Boolean(clip),
  };
}

/** The part of the axis that an address names: `a..b`. @param {Partial<View>} view @returns {Zoom | null} */
export function zoomOf({ zoom }) {
  const [low, high] = (zoom ?? "").split("..").map(Number);
  return zoom && Number.isFinite(low) && Number.isFinite(high) && low <= high ? [low, high] : null;
}

/** Puts a part of the axis into the address. @param {Zoom | null} zoom */
export const onZoom = (zoom) => change({ zoom: zoom?.join("..") }, { replace: true });

/**
 * The names that fit any of some patterns; all of them without one. `*` stands for any characters,
 * and a pattern without it for a part of a name.
 * @param {string[]} names @param {string[]} patterns
 */
export function matching(names, patterns) {
  const wanted = patterns.filter(Boolean).map((one) => one.toLowerCase().split("*"));
  return wanted.length ? names.filter((name) => wanted.some((parts) => fits(name.toLowerCase(), parts))) : names;
}

/**
 * Whether a name is these parts with anything in between; a single one may stand anywhere in it.
 * @param {string} name @param {string[]} parts
 */
function fits(name, [first, ...others]) {
  const last = others.pop();
  if (last === undefined) return name.includes(first);
  if (!name.startsWith(first) || name.length < first.length + last.length || !name.endsWith(last)) return false;
  const end = name.length - last.length;
  let from = first.length;
  for (const part of others) {
    const at = name.indexOf(part, from);
    if (at < 0 || at + part.length > end) return false;
    from = at + part.length;
  }
  return true;
}

/**
 * `asked` are the ids whose curves are asked for, if these are more than those that are shown.
 * @param {{runs: ShownRuns, asked?: string[], names: string[], fields?: string[]}} props
 */
export function Charts({ runs, asked, names, fields = [] }) {
  const [shown, show] = useState(CHARTS_AT_ONCE);
  const look = lookOf(view.value);
  const found = matching(names, view.value.charts ?? []);
  const groups = first(grouped(found), shown);
  const drawn = runs.size > RUNS_MAX ? new Map([...runs].slice(0, RUNS_MAX)) : runs;
  return html`
    <${FindMetric} count=${names.length} />
    <${Toolbar} look=${look} names=${names} fields=${runs.size > 1 ? fields : []} />
    ${drawn === runs ? "" : html`<p class="muted" role="status">The curves of the first ${RUNS_MAX} of ${runs.size} runs.</p>`}
    ${groups.map(
      ({ group, shown: own, all }) => html`
        <${Section} key=${group} title=${group || "metrics"} count=${all.toLocaleString("en-US")}>
          <div class="charts">
            ${own.map(
              (metric) => html`
                <${Chart}
                  key=${metric}
                  metric=${metric}
                  runs=${drawn}
                  asked=${asked}
                  look=${look}
                  zoom=${zoomOf(view.value)}
                  onZoom=${onZoom}
                />
              `,
            )}
          </div>
        <//>
      `,
    )}
    ${found.length ? "" : html`<p class="muted">No metric has this in its name.</p>`}
    ${
      found.length > shown
        ? html`<button onClick=${() => show(shown + CHARTS_AT_ONCE)}>Show more of ${found.length.toLocaleString("en-US")} metrics</button>`
        : ""
    }
  `;
}

/** The patterns of the metrics that are shown, separated by spaces. @param {{count: number}} props */
function FindMetric({ count }) {
  /** @param {string} text */
  const put = (text) => change({ charts: text.trim() ? text.trim().split(/\s+/) : null }, { replace: true });
  return html`
    <div class="bar">
      <input
        type="search"
        aria-label="Find a metric"
        title="Parts of names, or names with *, separated by spaces"
        placeholder=${`Find one of ${count.toLocaleString("en-US")}`}
        defaultValue=${view.value.charts?.join(" ") ?? ""}
        onInput=${(event) => put(event.currentTarget.value)}
      />
    </div>
  `;
}

/** @param {{look: Look, names: string[], fields: string[]}} props */
function Toolbar({ look, names, fields }) {
  const [typed, setTyped] = useState(/** @type {string | null} */ (null)); // It stays when an answer comes in between.
  const others = copy ? [] : names.slice(0, 200).map((name) => [`metrics.${name}`, name]);
  const axes = { ...AXES, ...Object.fromEntries(others) };
  /**
   * @param {string} label @param {string} value @param {Record<string, string>} of
   * @param {(key: string) => void} set
   */
  const choice = (label, value, of, set) => html`
    <label>
      ${label}${" "}
      <select value=${value} onChange=${(event) => set(event.currentTarget.value)}>
        ${Object.entries(of).map(([key, name]) => html`<option key=${key} value=${key} selected=${key === value}>${name}</option>`)}
      </select>
    </label>
  `;
  /** @param {string} label @param {boolean} on @param {(on: boolean) => void} set */
  const check = (label, on, set) => html`
    <label class="check"><input type="checkbox" checked=${on} onChange=${() => set(!on)} /> ${label}</label>
  `;
  return html`
    <div class="bar">
      ${choice("x", look.x, axes, (x) => change({ x: x === "step" ? null : x, zoom: null }))}
      ${check("log x", look.isLogX, (on) => change({ xl: on ? "log" : null }))}
      ${check("log y", look.isLog, (on) => change({ y: on ? "log" : null }))}
      ${
        copy
          ? ""
          : html`<label title="The distance in steps at which an earlier value counts half">
        smooth${" "}
        <input
          class="short"
          type="number"
          min="0"
          step="any"
          placeholder="steps"
          value=${typed ?? look.smooth ?? ""}
          onInput=${(event) => setTyped(event.currentTarget.value)}
          onChange=${(event) => {
            setTyped(null);
            change({ smooth: Number(event.currentTarget.value) > 0 ? event.currentTarget.value : null });
          }}
        />
      </label>`
      }
      ${choice("band", look.band, BANDS, (band) => change({ band: band === "minmax" ? null : band }))}
      ${
        fields.length && !copy
          ? choice(
              "group",
              look.group ?? "",
              { "": "none", ...Object.fromEntries(fields.map((one) => [one, one])) },
              (group) => change({ group: group || null }),
            )
          : ""
      }
      ${check("clip outliers", look.clip, (on) => change({ clip: on ? true : null }))}
      <span class="muted hint">Drag in a chart to zoom, double-click for the whole axis.</span>
    </div>
  `;
}

/**
 * The first names of groups, with how many each group has.
 * @param {Map<string, string[]>} groups @param {number} count
 */
function first(groups, count) {
  let left = count;
  return [...groups]
    .map(([group, own]) => {
      const shown = own.slice(0, Math.max(0, left));
      left -= shown.length;
      return { group, shown, all: own.length };
    })
    .filter(({ shown }) => shown.length);
}

/** Names by the part before the slash; those that are alone with theirs stand together. @param {string[]} names */
function grouped(names) {
  const groups = Map.groupBy(names, (name) => (name.includes("/") ? name.split("/")[0] : ""));
  const alone = [...groups].filter(([group, own]) => !group || own.length === 1).flatMap(([, own]) => own);
  const together = [...groups].filter(([group, own]) => group && own.length > 1);
  if (alone.length) together.unshift(["", alone]);
  return new Map(together);
}
