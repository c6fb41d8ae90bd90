"""A row per run with its config, tags and metrics, beside a bare DuckDB pivot of the same rows.

50,000 runs with two keys of config, a tag and 20 metrics. The baseline has runs, cells (run,
number of the column, value) of texts and of numbers in bare tables, pivots each and joins them; it
is told which columns there are. Both give an Arrow table of the same shape. Figures are processor
time of all threads.
`python -m benchmarks.bench_runs_table [RUNS]`.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.bench_catch_up import processor_s
from benchmarks.bench_points import add, batch
from benchmarks.harness import Result, at_most_times, line, machine, scratch, sized
from runlore import Workspace
from runlore.domain.events import ExperimentCreated, RunCreated
from runlore.domain.ids import experiment_stream, run_stream
from runlore.domain.status import Status
from runlore.projections.connection import connect
from runlore.storage.journal import Pending
from runlore.workspace import session_of

RUNS = 50_000
METRICS = tuple(f"metric-{number:02d}" for number in range(20))
TURNS = 7


def run(runs: int | None = None) -> Iterator[Result]:
    """The whole table of all runs."""
    count = runs or sized(RUNS)
    with scratch() as folder, Workspace.create("bench", path=folder / "ws") as ws:
        fill(ws, count)
        table = ws.experiments["bench"].runs_table
        names = table().columns
        assert len(table().fetchall()) == count and f"metrics.{METRICS[-1]}" in names
        with bare(ws, folder / "bare.duckdb") as connection:
            query = bare_query()
            assert connection.sql(query).to_arrow_table().num_rows == count

            def pivoted() -> object:
                return connection.sql(query).to_arrow_table()

            took = [(processor_s(table), processor_s(pivoted)) for _ in range(TURNS)]
        mine, theirs = (statistics.median(side) * 1e3 for side in zip(*took, strict=True))
        what = f"runs_table() of {count:,} runs, {len(METRICS)} metrics, processor time"
        note = "a bare DuckDB pivot of the same rows"
        yield Result(what, mine, theirs, note, "ms", TURNS, (at_most_times(1.5),))


def fill(ws: Workspace, count: int) -> None:
    """Runs with a config, a tag and one value of each metric."""
    journal = session_of(ws).journal
    created = ExperimentCreated(experiment_id="e", name="bench")
    journal.append([Pending(experiment_stream("bench"), 1, created)])
    journal.append(
        [Pending(run_stream(f"r{number}"), 1, _created(number)) for number in range(count)]
    )
    made = [batch(METRICS, 1, seed=seed) for seed in range(100)]
    add(ws, [(f"r{number}", made[number % 100]) for number in range(count)])


def _created(number: int) -> RunCreated:
    return RunCreated(
        run_id=f"r{number}",
        root_id=f"r{number}",
        status=Status.COMPLETED,
        experiment_id="e",
        experiment_name="bench",
        tags={"model": f"m{number % 7}"},
        config=f'{{"lr": {1 / (number + 1)}, "seed": {number}}}',
    )


def bare(ws: Workspace, path: Path) -> duckdb.DuckDBPyConnection:
    """The rows that the table is made of, in bare tables."""
    columns = "run_id, experiment, number, display_name, status, created_at, started_at, ended_at, "
    runs = f"SELECT {columns} duration_s, actor, host, script, git_commit, parent_id FROM runs"
    texts = (
        "SELECT run_id, 'tags.' || key AS name, value FROM tags UNION ALL "
        "SELECT run_id, 'config.' || key, json FROM config"
    )
    numbers = "SELECT run_id, metric AS name, last AS value FROM metrics"
    connection = connect(path, None)
    for name, query in {"runs": runs, "texts": texts, "numbers": numbers}.items():
        held: Any = ws.sql(query).arrow()
        connection.register("held", held)
        connection.execute(f"CREATE TABLE {name} AS FROM held")
        connection.unregister("held")
    return connection


def bare_query() -> str:
    """What somebody would write who knows all columns."""
    metrics = ", ".join(f"'{name}'" for name in METRICS)
    return (
        "FROM runs LEFT JOIN (PIVOT texts ON name IN ('tags.model', 'config.lr', 'config.seed') "
        "USING any_value(value) GROUP BY run_id) USING (run_id) LEFT JOIN (PIVOT numbers ON name "
        f"IN ({metrics}) USING any_value(value) GROUP BY run_id) USING (run_id) "
        "ORDER BY created_at DESC"
    )


if __name__ == "__main__":
    print(machine())
    for result in run(*map(int, sys.argv[1:])):
        print(line(result), flush=True)
