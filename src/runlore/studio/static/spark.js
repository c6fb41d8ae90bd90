// A small picture of how much there was when: a bar for each part of the time.

import { html } from "./vendor/preact@11.2.0/preact.js";

const [BAR, HEIGHT] = [4, 20];

/** @param {{counts: number[], label: string}} props `label` says it in words */
export function Spark({ counts, label }) {
  const most = Math.max(...counts, 1);
  const width = BAR * counts.length;
  return html`
    <svg class="spark" width=${width} height=${HEIGHT} viewBox=${`0 0 ${width} ${HEIGHT}`} role="img" aria-label=${label}>
      <title>${label}</title>
      ${counts.map((count, n) => {
        const size = count ? Math.max(2, (HEIGHT * count) / most) : 1;
        return html`<rect class=${count ? "" : "none"} x=${n * BAR} y=${HEIGHT - size} width=${BAR - 1} height=${size} />`;
      })}
    </svg>
  `;
}
