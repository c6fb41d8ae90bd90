// The shown moment is before all that is asked for: since when there is something.

import { html } from "./vendor/preact@11.2.0/preact.js";
import { useAnswer } from "./api.js";
import { Empty, Time } from "./parts.js";
import { change } from "./view.js";

/** @param {{title: string, experiment?: string, run?: string}} props what is asked for; all runs */
export function Before({ title, experiment, run }) {
  const { data } = useAnswer("first", { experiment, run, asof: null }, { runs: [] }).value;
  return html`
    <${Empty} title=${title}>
      ${
        data?.time
          ? html`
              <p>
                ${run ? "It was created" : "The first one was created"} <${Time} at=${data.time} />, at position ${data.position}.${" "}
                <button onClick=${() => change({ asof: data.position })}>Go to that moment</button>
              </p>
            `
          : ""
      }
      <p><button onClick=${() => change({ asof: null })}>Back to now</button></p>
    <//>
  `;
}
