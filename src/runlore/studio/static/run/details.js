// The details of a run: why it failed, its config, tags, properties and surroundings.

import { html } from "../vendor/preact@11.2.0/preact.js";
import { Markdown } from "../markdown.js";
import { Facts, Section, Time } from "../parts.js";
import { Tags } from "../run-actions.js";

/** @import { Run, RunError, Value } from "answers" */
/** @typedef {[name: string, value: string][]} Pairs */

/** @param {Value | undefined} value */
export const shown = (value) =>
  value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);

/** @param {Record<string, Value> | null} values @returns {Pairs} */
const pairs = (values) => Object.entries(values ?? {}).map(([key, value]) => [key, shown(value)]);

/**
 * The values of nested objects by their paths.
 * @param {Record<string, Value> | null} config @returns {Pairs}
 */
export function flattened(config, before = "") {
  return Object.entries(config ?? {}).flatMap(([key, value]) =>
    value !== null && typeof value === "object" && !Array.isArray(value)
      ? flattened(value, `${before}${key}.`)
      : [[before + key, shown(value)]],
  );
}

/** Why a run failed, if it did. @param {{error: RunError | null, heading: "h2" | "h3"}} props */
export function Failure({ error, heading }) {
  if (!error) return "";
  return html`
    <div class="wrong">
      <${heading}>Why it failed<//>
      <pre tabindex="0" role="region" aria-label="Why it failed">
${[error.code, error.message, error.debug_stack_trace].filter(Boolean).join("\n\n")}</pre>
    </div>
  `;
}

/** @param {{data: Run, path: string}} props */
export function Details({ data, path }) {
  const config = flattened(data.config);
  return html`
    <${Failure} error=${data.error} heading="h2" />
    <div class="columns">
      <${Section} title="Run">
        <${Facts}
          rows=${[
            ["created", html`<${Time} at=${data.created} />`],
            ["started", data.started ? html`<${Time} at=${data.started} />` : ""],
            ["ended", data.ended ? html`<${Time} at=${data.ended} />` : ""],
            [
              "description",
              data.description && data.markdown ? html`<${Markdown} tree=${data.markdown} />` : shown(data.description),
            ],
            ["target", shown(data.target)],
            ["user", shown(data.user)],
          ].filter(([, value]) => value !== "")}
        />
      <//>
      <${Section} title="Config" count=${config.length}>
        ${config.length ? html`<${Facts} rows=${config} />` : html`<p class="muted">run.add_config(…) adds some.</p>`}
      <//>
      <${Section} title="Tags" count=${Object.keys(data.tags ?? {}).length}>
        <${Tags} data=${data} path=${path} />
      <//>
      ${
        data.environment
          ? html`<${Section} title="Surroundings"><${Facts} rows=${flattened(data.environment)} /><//>`
          : ""
      }
      <${Section} title="Properties" count=${Object.keys(data.properties ?? {}).length}>
        <${Facts} rows=${pairs(data.properties)} />
      <//>
    </div>
  `;
}
