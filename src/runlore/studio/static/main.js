// The entry of all pages: the view says which one is shown.

import { html, render } from "./vendor/preact@11.2.0/preact.js";
import { Shell } from "./shell.js";
import { view } from "./view.js";
import { Experiments } from "./pages/experiments.js";
import { Runs } from "./pages/runs.js";
import { Run } from "./pages/run.js";
import { Compare } from "./pages/compare.js";
import { NewRun } from "./pages/new.js";
import { Sql } from "./pages/sql.js";
import { Targets } from "./pages/targets.js";
import { Views } from "./pages/views.js";

const PAGES = {
  experiments: Experiments,
  runs: Runs,
  run: Run,
  compare: Compare,
  targets: Targets,
  new: NewRun,
  sql: Sql,
  views: Views,
};

function Studio() {
  const { page, run, experiment } = view.value;
  const Page = PAGES[page];
  return html`<${Shell}><${Page} key=${run ?? experiment ?? page} /><//>`;
}

render(html`<${Studio} />`, document.body);
