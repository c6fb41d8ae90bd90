// The search and the filter of a table of runs.

import { html, useEffect, useState } from "./vendor/preact@11.2.0/preact.js";
import { change, view } from "./view.js";

export function SearchBox() {
  const { q } = view.value;
  const [text, setText] = useState(q ?? "");
  useEffect(() => setText(q ?? ""), [q]);
  useEffect(() => {
    const timer = setTimeout(() => text !== (q ?? "") && change({ q: text }, { replace: true }), 200);
    return () => clearTimeout(timer);
  }, [text]);
  return html`
    <input
      id="search"
      type="search"
      placeholder="Search  /"
      aria-label="Search names, descriptions, experiments and users"
      value=${text}
      onInput=${(event) => setText(event.currentTarget.value)}
    />
  `;
}

/** @param {{error: Error & {title?: string} | null}} props that of the question with the filter */
export function FilterLine({ error }) {
  const { f } = view.value;
  const [text, setText] = useState(f ?? "");
  useEffect(() => setText(f ?? ""), [f]);
  const wrong = error?.title === "FilterError" ? error : null;
  return html`
    <form
      class="filter"
      onSubmit=${(event) => {
        event.preventDefault();
        change({ f: text });
      }}
    >
      <input
        id="filter"
        spellcheck=${false}
        autocomplete="off"
        placeholder="Filter  f    status = Completed and metrics.loss < 0.3 and tags.model = resnet"
        aria-label="Filter"
        aria-invalid=${wrong ? "true" : undefined}
        value=${text}
        onInput=${(event) => setText(event.currentTarget.value)}
      />
      ${f ? html`<button type="button" class="quiet" onClick=${() => change({ f: null })}>Clear</button>` : ""}
      ${wrong ? html`<p class="wrong" role="alert">${wrong.message}</p>` : ""}
    </form>
  `;
}
