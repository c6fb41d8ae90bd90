// Light or dark: as the system has it, or as a person chose. Paper is light.

import { computed, effect, signal } from "./vendor/preact@11.2.0/preact.js";

const THEMES = ["system", "light", "dark"];

/** A signal of whether a media query matches. @param {string} query */
function matches(query) {
  const list = matchMedia(query);
  const found = signal(list.matches);
  list.addEventListener("change", () => (found.value = list.matches));
  return found;
}

function chosen() {
  try {
    const held = localStorage.getItem("theme");
    return held !== null && THEMES.includes(held) ? held : "system";
  } catch {
    return "system";
  }
}

const isDark = matches("(prefers-color-scheme: dark)");
const isPaper = matches("print");

export const theme = signal(chosen());

export function nextTheme() {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
  try {
    localStorage.setItem("theme", theme.value);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}

/** The theme that is shown: what is drawn in its colours is drawn anew when it changes. */
export const shown = computed(() => {
  if (isPaper.value) return "light";
  return theme.value === "system" ? (isDark.value ? "dark" : "light") : theme.value;
});

/** @type {Map<string, string>} */
const colours = new Map();

effect(() => {
  document.documentElement.dataset.theme = shown.value;
  colours.clear();
});

/** A colour of the style sheet as a canvas takes it, which knows no `light-dark()`. @param {string} name */
export function colourOf(name, alpha = 1) {
  const key = `${name} ${alpha}`;
  const held = colours.get(key);
  if (held !== undefined) return held;
  const probe = document.createElement("span");
  probe.style.setProperty("color", `var(${name})`);
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  const found = alpha === 1 ? color : color.replace(/rgb\((.*)\)/, `rgba($1, ${alpha})`);
  colours.set(key, found);
  return found;
}

/**
 * Draws a plot anew when the theme changes. Its colours are functions.
 * @param {{redraw: (rebuildPaths: boolean) => void}} plot @returns {() => void} end it
 */
export const redrawn = (plot) =>
  effect(() => {
    shown.value;
    plot.redraw(false);
  });

/** What axes of plots look like. */
export const AXIS = {
  stroke: () => colourOf("--muted"),
  grid: { stroke: () => colourOf("--line"), width: 1 },
  ticks: { stroke: () => colourOf("--line"), width: 1 },
};
