// The shapes of the API's answers, as `src/runlore/studio/api/` makes them, and which path has which.

/** When an answer came, in milliseconds: what grows by itself counts on from then. */
export type Arrived = { arrivedAt?: number };

/** A value of any kind, such as that of a run's field. */
export type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

/** Runs as columns, of which all lists have the same length. */
export interface RunColumns extends Arrived {
  ids: string[];
  names: string[];
  colours: number[];
  statuses: string[];
  columns: string[];
  /** The values of each of the columns. */
  data: Value[][];
}

/** A page of the matching runs. `depths`, `matches` and `below` are there with `tree` only. */
export interface RunRows extends RunColumns {
  position: number;
  total: number;
  offset: number;
  numbers: number[];
  experiments: string[];
  stars: boolean[];
  depths?: number[];
  matches?: boolean[];
  below?: number[];
}

/** A page of groups of runs; their ids are filters. */
export interface GroupRows extends Arrived {
  position: number;
  total: number;
  offset: number;
  ids: string[];
  values: Value[];
  runs: number[];
  columns: string[];
  data: Value[][];
  spreads: ((number | null)[] | null)[];
  distinct: number[][];
}

export interface SqlResult {
  columns: string[];
  kinds: ("number" | "time" | "text")[];
  data: Value[][];
  total: number;
  truncated: boolean;
  ms: number;
}

/** A piece of Markdown: text, or a tag with children. */
export type Markup = string | { tag: string; children: Markup[]; href?: string; level?: number };

export interface RunError {
  code?: string;
  message?: string;
  debug_stack_trace?: string;
}

export interface Run extends Arrived {
  position: number;
  id: string;
  number: number;
  name: string;
  experiment: string;
  colour: number;
  starred: boolean;
  status: string;
  detail: string | null;
  created: string;
  started: string | null;
  ended: string | null;
  /** Seconds. */
  duration: number | null;
  user: string;
  target: string | null;
  parent: string | null;
  description: string | null;
  markdown: Markup[] | null;
  error: RunError | null;
  submitted: boolean;
  erased: boolean;
  config: Record<string, Value> | null;
  tags: Record<string, string | null>;
  properties: Record<string, Value>;
  environment: Record<string, Value> | null;
  logs: string[];
}

/** The values of a curve at some places of the axis; null where they are no number. */
interface Curve {
  places: number[];
  smooth?: (number | null)[] | null;
}

/** One metric of one run. With many runs `min`, `max`, `mean` and `std` are left out. */
export interface RunCurve extends Curve {
  run: string;
  metric: string;
  total: number;
  last: (number | null)[];
  min?: (number | null)[];
  max?: (number | null)[];
  mean?: (number | null)[];
  std?: (number | null)[];
  /** A place of the axis, and how many values there are NaN, positive and negative infinity. */
  odd: [place: number, nan: number, up: number, down: number][];
}

/** The mean of some runs, and how far they are apart. */
export interface GroupCurve extends Curve {
  group: string;
  metric: string;
  run_ids: string[];
  /** How many of the runs have a value there. */
  n: number[];
  mean: (number | null)[];
  deviation: (number | null)[];
  least: (number | null)[];
  greatest: (number | null)[];
}

/** By metric: the least and the greatest value without outliers, and how many buckets have some. */
export type Spans = Record<string, [low: number, high: number, outside: number] | null>;

/** Curves on a common axis. */
export interface Curves {
  x: number[];
  series: RunCurve[];
  groups?: GroupCurve[];
}

export interface ChartAnswer extends Curves {
  spans: Spans;
}

export interface Change {
  position: number;
  time: string;
  what: string;
  key: string | null;
  old: Value;
  new: Value;
  who: string;
  reason: string | null;
}

/** A change between two moments. */
export interface NetChange {
  run_id: string | null;
  experiment: string;
  experiment_id: string;
  what: string;
  kind: string;
  key: string | null;
  old: Value;
  new: Value;
  position: number;
  time: string;
  who: string;
  reason: string | null;
}

/** How many runs of an experiment execute on a target, and how many wait for it. */
export interface Load {
  name: string;
  executing: number;
  waiting: number;
}

export interface Experiment {
  id: string;
  name: string;
  runs: number;
  active: number;
  failed: number;
  last: string;
  median_s: number | null;
  targets: Load[];
  by_day: number[];
}

export interface RunOnTarget {
  id: string;
  name: string;
  experiment: string;
  colour: number;
  status: string;
  detail: string | null;
  since: string;
  user: string | null;
}

/** `slots` is null where there is no limit. */
export interface Target {
  name: string;
  kind: string;
  slots: number | null;
  executing: RunOnTarget[];
  queued: RunOnTarget[];
  waiting: number;
}

export interface LoggedFile {
  file: string;
  step: number;
  time: string;
}

/** Rows of a metric that is a table, a list for each column. */
export interface TableRows {
  columns: string[];
  data: Value[][];
  total: number;
}

export interface RunFile {
  name: string;
  nbytes: number | null;
  sha256: string | null;
  uri: string | null;
  type: string | null;
}

export interface SourceFile {
  name: string;
  sha256: string;
  nbytes: number;
  executable: boolean;
}

export interface SourceChange {
  name: string;
  kind: "added" | "removed" | "changed";
  old_nbytes: number | null;
  new_nbytes: number | null;
  lines: string[] | null;
}

export interface SavedView {
  name: string;
  url: string | null;
  saved: string;
  by: string | null;
}

/** A condition, the filter and search of the others, and how many runs match without and by it. */
export interface Condition {
  text: string;
  f: string | null;
  q: string | null;
  without: number;
  alone: number;
}

export interface Workspace {
  name: string;
  position: number;
  head: number;
  role: "editor" | "viewer";
  is_owner: boolean;
  version: string;
}

export interface Definition {
  script: string | null;
  arguments: string;
  command: string | null;
  processes: number;
  secrets: string[];
}

export interface BulkAnswer {
  total: number;
  done: string[];
  refused: Refusal[];
}

export interface Refusal {
  id: string;
  name: string;
  title: string;
  detail: string;
}

export interface LogPart {
  text: string;
  from: number;
  next: number;
  is_there: boolean;
  has_ended: boolean;
}

export interface FileText {
  text: string;
  is_whole: boolean;
  markdown?: Markup[];
}

interface Rollup {
  runs: number;
  children: number;
  statuses: Record<string, number>;
  lost: number;
  worst_status: string;
  first_started_at: string | null;
  last_ended_at: string | null;
  best: { run_id: string; value: number; step: number } | null;
}

/** What the API answers at a path. */
interface Answers {
  runs: RunRows;
  groups: GroupRows;
  columns: { fields: string[]; runs: number[]; first: string[] };
  conditions: { conditions: Condition[]; below: number };
  first: { run: string | null; position: number | null; time: string | null };
  charts: ChartAnswer;
  live: { waiting: Record<string, Record<string, string>> };
  "live/cells": { position: number; cells: Record<string, Record<string, Value>> };
  workspace: Workspace;
  experiments: { experiments: Experiment[]; targets: (Load & { slots: number })[] };
  timeline: { times: string[]; positions: number[]; events: number[] };
  position: { position: number };
  diff: {
    total: number;
    left_out: number;
    changes: NetChange[];
    runs: Record<string, { name: string; colour: number }>;
  };
  targets: { position: number; targets: Target[] };
  views: { views: SavedView[] };
}

/** What the API answers at a path below that of a run. */
interface AnswersOfRun {
  metrics: { metrics: string[]; tables: string[] };
  history: {
    total: number;
    changes: Change[];
    kinds: Record<string, number>;
    actors: Record<string, number>;
    seals: number[];
  };
  rollup: Rollup;
  files: { files: RunFile[] };
  logged: { images: { metric: string; files: LoggedFile[] }[]; tables: string[]; documents: string[] };
  table: TableRows;
  documents: { kind: string; documents: Value[] };
  definition: {
    id: string;
    experiment?: string;
    target?: string | null;
    snapshot?: string | null;
    definition: Definition | null;
  };
  snapshot: { id: string | null; files: SourceFile[] };
  "snapshot/diff": { changes: SourceChange[] };
}

/** The same where the path goes on with the name of a file. */
type OfFile<P extends string> = P extends `${string}/text/${string}`
  ? FileText
  : P extends `${string}/log-search/${string}`
    ? { total: number; hits: { line: number; start: number; text: string }[] }
    : P extends `${string}/logs/${string}`
      ? LogPart
      : Run;

type OfRun<P extends string> = {
  [K in keyof AnswersOfRun]: P extends `${string}/${K}` ? AnswersOfRun[K] : never;
}[keyof AnswersOfRun];

/** The answer at a path: `runs/${id}` is that of a run. */
export type AnswerTo<P extends string> = P extends keyof Answers
  ? Answers[P]
  : [OfRun<P>] extends [never]
    ? OfFile<P>
    : OfRun<P>;
