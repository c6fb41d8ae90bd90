// Three small charts below the table: of the selected runs, or of the ten newest ones that match.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { useAnswer } from "../api.js";
import { Chart } from "../chart.js";
import { lookOf, matching, onZoom, zoomOf } from "../charts.js";
import { runsOf } from "../format.js";
import { metricsOf } from "../run-columns.js";
import { hasSelection, selectedOnes } from "../selection.js";
import { view } from "../view.js";

/** @import { Question } from "../selection.js" */

const CHARTS = 3;
const SELECTED_MAX = 50;
const NEWEST = 10;
const OUTSIDE = 70; // What a chart has above and below its curves.

/**
 * @param {{question: Question, columns: string[], fields: string[], height: number}} props `columns`
 *   are those of the table; `height` is that of the charts in pixels
 */
export function Below({ question, columns, fields, height }) {
  const isSelected = hasSelection.value;
  const which = isSelected ? selectedOnes(question) : { ...question, sort: null };
  const params = { ...which, limit: isSelected ? SELECTED_MAX : NEWEST, cols: ["status"] };
  const { data } = useAnswer("runs", params).value;
  const { charts } = view.value;
  const logged = metricsOf(fields);
  const wanted = charts ? matching(logged, charts) : metricsOf(columns);
  const names = (wanted.length ? wanted : logged).slice(0, CHARTS);
  if (!data) return html`<p class="muted">Loading…</p>`;
  if (!names.length) return html`<p class="muted">No metric was logged yet.</p>`;
  const runs = new Map(
    data.ids.map((id, n) => [id, { name: data.names[n], colour: data.colours[n], status: data.statuses[n] }]),
  );
  const count =
    data.ids.length < data.total ? `The ${data.ids.length} newest of ${runsOf(data.total)}` : runsOf(data.total);
  return html`
    <p class="muted" role="status">${count}${isSelected ? ", selected" : ""}</p>
    <div class="below-charts">
      ${names.map(
        (metric) => html`
          <${Chart}
            key=${metric}
            metric=${metric}
            runs=${runs}
            look=${lookOf(view.value)}
            zoom=${zoomOf(view.value)}
            onZoom=${onZoom}
            height=${height - OUTSIDE}
          />
        `,
      )}
    </div>
  `;
}
