// The marks that people give to runs: a star, and a colour of their own. They are tags, so all see them.

import { html, useEffect, useState } from "./vendor/preact@11.2.0/preact.js";
import { asError, send } from "./api.js";
import { mayChange } from "./me.js";
import { Swatch } from "./parts.js";

export const STAR = "runlore.star";
export const COLOUR = "runlore.colour";
const LOOKS = 32;

/**
 * The star of a run, which a press gives or takes away.
 * @param {{id: string, name: string, starred: boolean, tabIndex?: string}} props
 */
export function Star({ id, name, starred, tabIndex }) {
  const [wanted, want] = useState(starred);
  const [problem, setProblem] = useState("");
  useEffect(() => want(starred), [starred]);
  if (!mayChange.value) return starred ? html`<span class="star on" role="img" aria-label="starred">★</span>` : "";
  const flip = async () => {
    want(!wanted);
    try {
      await send(
        "PATCH",
        `runs/${encodeURIComponent(id)}`,
        wanted ? { remove_tags: [STAR] } : { set_tags: { [STAR]: null } },
      );
      setProblem("");
    } catch (error) {
      want(wanted);
      setProblem(asError(error).message);
    }
  };
  return html`
    <button
      class=${`star ${wanted ? "on" : ""} ${problem ? "wrong" : ""}`}
      tabindex=${tabIndex}
      aria-pressed=${String(wanted)}
      aria-label=${`Star ${name}`}
      title=${problem || (wanted ? "Starred: press to take the star away" : "Star it, to find it again")}
      onClick=${flip}
    >
      ${wanted ? "★" : "☆"}
    </button>
  `;
}

/** A choice of the colour and dash of a run's curves. @param {{value: string | null | undefined}} props */
export function ColourField({ value }) {
  const own = lookOf(value);
  return html`
    <fieldset class="looks">
      <legend>Colour</legend>
      <label class="check"><input type="radio" name="colour" value="" defaultChecked=${own === null} /> by its number</label>
      <div class="looks-grid">
        ${Array.from(
          { length: LOOKS },
          (_, n) => html`
            <label class="look" title=${`colour ${(n % 8) + 1}${n < 8 ? "" : `, dash ${n >> 3}`}`}>
              <input
                type="radio"
                name="colour"
                value=${n}
                defaultChecked=${own === n}
                aria-label=${`Colour ${(n % 8) + 1}${n < 8 ? "" : `, dash ${n >> 3}`}`}
              />
              <${Swatch} colour=${n} />
            </label>
          `,
        )}
      </div>
    </fieldset>
  `;
}

/** The look that a tag names; null if none. @param {string | null | undefined} value */
const lookOf = (value) => (/^\d{1,2}$/.test(value ?? "") && Number(value) < LOOKS ? Number(value) : null);
