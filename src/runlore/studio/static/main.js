// The entry of all pages: the view says which one is shown.

import { html, render } from "./vendor/preact@11.2.0/preact.js";
import { later } from "./later.js";
import { Shell } from "./shell.js";
import { view } from "./view.js";

/** @type {Record<string, ReturnType<typeof later<{}>>>} */
const PAGES = {
  experiments: later(async () => (await import("./pages/experiments.js")).Experiments),
  runs: later(async () => (await import("./pages/runs.js")).Runs),
  run: later(async () => (await import("./pages/run.js")).Run),
  compare: later(async () => (await import("./pages/compare.js")).Compare),
  targets: later(async () => (await import("./pages/targets.js")).Targets),
  new: later(async () => (await import("./pages/new.js")).NewRun),
  sql: later(async () => (await import("./pages/sql.js")).Sql),
  views: later(async () => (await import("./pages/views.js")).Views),
};

function Studio() {
  const { page, run, experiment } = view.value;
  return html`<${Shell}><${PAGES[page]} key=${`${page} ${run ?? experiment ?? ""}`} /><//>`;
}

await PAGES[view.value.page].load(); // The first page is drawn once, with all that it has.
render(html`<${Studio} />`, document.body);
