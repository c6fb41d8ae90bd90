"""Logged values in the projection: catch-up, one series, charts of many runs, wide run tables.

`python -m benchmarks.bench_points big=100_000_000 wide_runs=1500` runs it in other sizes (`big`,
`batches`, `runs`, `points`, `wide_runs`, `wide_metrics`). A few payloads are encoded and logged
again and again: values do not repeat within 500,000, which no compression looks back.
"""

from __future__ import annotations

import random
import resource
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from benchmarks.fresh import folder_bytes
from benchmarks.harness import (
    Result,
    at_most,
    cached,
    line,
    machine,
    scratch,
    seconds,
    side_by_side,
)
from runlore import Workspace
from runlore.domain.events import ExperimentCreated, RunCreated, ValuesLogged
from runlore.domain.ids import experiment_stream, run_stream, values_stream
from runlore.domain.status import Status
from runlore.engine.runs.metric_blocks import read_metrics
from runlore.projections.charts import ChartQuestion
from runlore.projections.metric_columns import MetricColumn, MetricFilter
from runlore.projections.reader import RunsReader
from runlore.storage.journal import Pending
from runlore.storage.value_codec import Part, Series, encode_batch
from runlore.workspace import session_of

WRITER = "1" * 32
T0 = 1_700_000_000_000_000
BATCH = 40_000


def run(
    *,
    big: int = 10_000_000,
    batches: int = 17_280,
    runs: int = 50,
    points: int = 100_000,
    wide_runs: int = 300,
    wide_metrics: int = 1_500,
) -> Iterator[Result]:
    """Large batches; a day of slow logging; charts; 20 points of each of many metrics."""
    with scratch() as folder:
        yield from large_batches(folder, big)
    with scratch() as folder:
        yield from a_slow_day(folder, batches)
    with scratch() as folder:
        yield from charts(folder, runs, points)
    with scratch() as folder:
        yield from wide(folder, wide_runs, wide_metrics)


def large_batches(folder: Path, big: int) -> Iterator[Result]:
    """Batches of 40,000 values of four series, as one process logs them in a fast loop."""
    with Workspace.create("bench", path=folder / "ws") as ws:
        made = [batch([f"m{n}" for n in range(4)], BATCH // 4, seed=seed) for seed in range(12)]
        add_runs(ws, ["r0"])
        add(ws, [("r0", made[number % len(made)]) for number in range(max(1, big // BATCH))])
        yield from caught_up(ws, "40,000 values a batch")


def a_slow_day(folder: Path, batches: int) -> Iterator[Result]:
    """10 metrics, 2 steps a second, a batch every 5 seconds: 17,280 of 100 values."""
    names = [f"metric-{n}" for n in range(10)]
    with Workspace.create("bench", path=folder / "ws") as ws:
        add_runs(ws, ["r0"])
        made = [batch(names, 10, seed=seed) for seed in range(500)]
        add(ws, [("r0", made[number % len(made)]) for number in range(batches)])
        yield from caught_up(ws, "100 values of 10 series a batch")
        reader = session_of(ws).reader()
        log = session_of(ws).log
        found = reader.series("r0", "metric-3")
        assert found is not None and len(found.steps) == 10 * batches
        yield side_by_side(
            f"one series of {10 * batches:,} values out of {batches:,} batches",
            lambda: reader.series("r0", "metric-3"),
            "read from the log",
            lambda: read_metrics(log, "r0", name="metric-3"),
            repeat=3,
        )


def charts(folder: Path, runs: int, points: int) -> Iterator[Result]:
    """One metric of 50 runs of 100,000 values each, thinned out to 1,000."""
    ids = [f"r{n}" for n in range(runs)]
    with Workspace.create("bench", path=folder / "ws") as ws:
        add_runs(ws, ids)
        made = [batch(["loss", "acc"], 10_000, seed=seed) for seed in range(8)]
        for _ in range(max(1, points // 10_000)):
            add(ws, [(run_id, made[n % len(made)]) for n, run_id in enumerate(ids)])
        reader = session_of(ws).reader()
        reader.projection.refresh()
        curves = reader.curves(ids, "loss", max_points=1_000)
        assert len(curves) == runs and all(len(curve.steps) <= 1_000 for curve in curves)
        yield side_by_side(
            f"curves of {runs} runs, {points:,} values to 1,000 each",
            lambda: reader.curves(ids, "loss", max_points=1_000),
            "raw DuckDB, the same values summed up",
            lambda: reader.sql(
                "SELECT run_no, min(value), max(value) FROM store.metric_points "
                "WHERE series_no = 1 GROUP BY run_no"
            ),
            repeat=9,
            goals=(at_most(300),),
        )
        asked = ChartQuestion(ids, ["loss"])
        assert len(reader.chart(asked).series) == runs
        yield side_by_side(
            f"one chart of {runs} runs, {points:,} values in 1,000 common buckets",
            lambda: reader.chart(asked),
            "the curves of the same runs",
            lambda: reader.curves(ids, "loss", max_points=1_000),
            repeat=9,
        )


def wide(folder: Path, runs: int, metrics: int) -> Iterator[Result]:
    """20 steps of 1,500 metrics in each run; then a table of 20 metrics of a third of the runs."""
    ids = [f"r{n}" for n in range(runs)]
    names = [f"metric/{n}" for n in range(metrics)]
    with Workspace.create("bench", path=folder / "ws") as ws:
        add_runs(ws, ids)
        made = [batch(names, 20, seed=seed) for seed in range(16)]
        add(ws, [(run_id, made[n % len(made)]) for n, run_id in enumerate(ids)])
        yield from caught_up(ws, f"{metrics:,} series of 20 values a batch")
        reader = session_of(ws).reader()
        yield table(reader, names, runs)


def table(reader: RunsReader, names: Sequence[str], runs: int) -> Result:
    columns = [MetricColumn(name) for name in names[:20]]
    filters = [MetricFilter(MetricColumn(names[20]), "<", 0.3)]
    assert 0 < len(reader.run_table(columns, filters=filters)) < runs
    return side_by_side(
        f"table of {runs:,} runs, filtered by a metric, 20 metric columns",
        lambda: reader.run_table(columns, filters=filters),
        "SQL over the view metrics, 20 rows a run",
        lambda: reader.sql(
            "SELECT run_id, metric, last FROM metrics WHERE metric = ANY(?)", [names[:20]]
        ),
        repeat=9,
        goals=(at_most(150),),
    )


# --- what is logged ---------------------------------------------------------------------------


def batch(names: Sequence[str], steps: int, *, seed: int) -> ValuesLogged:
    """So many steps of each metric: noisy values, times that are a little irregular."""
    rng = random.Random(seed)
    time, times = T0 + seed * 10**9, []
    for _ in range(steps):
        time += 500_000 + rng.randrange(2_000)
        times.append(time)
    first = seed * steps
    parts = [
        Part(
            Series(name),
            range(n, n + len(names) * steps, len(names)),
            range(first, first + steps),
            [moment + n * 3 for moment in times],
            [[rng.random() for _ in range(steps)]],
        )
        for n, name in enumerate(names)
    ]
    return encode_batch(WRITER, 0, parts)


def add_runs(ws: Workspace, ids: Sequence[str]) -> None:
    created = ExperimentCreated(experiment_id="e", name="bench")
    session_of(ws).journal.append([Pending(experiment_stream("bench"), 1, created)])
    session_of(ws).journal.append(
        [
            Pending(
                run_stream(run_id),
                1,
                RunCreated(
                    run_id=run_id,
                    root_id=run_id,
                    status=Status.RUNNING,
                    experiment_id="e",
                    experiment_name="bench",
                ),
            )
            for run_id in ids
        ]
    )


def add(ws: Workspace, batches: Sequence[tuple[str, ValuesLogged]]) -> None:
    """Appends the batches, many in one commit; each run's in a stream of its own."""
    journal = session_of(ws).journal
    writer = f"{session_of(ws).log.head().size:032x}"
    pending: list[Pending] = []
    versions: dict[str, int] = {}
    nbytes = 0
    for run_id, event in batches:
        version = versions[run_id] = versions.get(run_id, 0) + 1
        pending.append(Pending(values_stream(run_id, writer), version, event))
        nbytes += len(event.payload or b"")
        if nbytes > 50_000_000:
            journal.append(pending)
            pending, nbytes = [], 0
    journal.append(pending)


def caught_up(ws: Workspace, what: str) -> Iterator[Result]:
    """Catch-up from nothing, per value, and what a value takes in the projection's files."""
    reader = session_of(ws).reader()
    took = seconds(reader.projection.refresh)
    rows = int(reader.sql("SELECT sum(n) FROM metrics").fetchall()[0][0])
    print(
        f"    {rows:,} values: {rows / took / 1e6:.2f} million a second; "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB at most so far",
        flush=True,
    )
    path = ws.path
    assert path is not None
    with scratch() as folder:
        raw = seconds(lambda: raw_copy(reader, folder))
        raw_nbytes = folder_bytes(folder)
    yield Result(
        f"catch-up from zero, {rows:,} values, {what}, per value",
        took / rows * 1e6,
        raw / rows * 1e6,
        "raw DuckDB, CREATE TABLE AS the same rows",
        "µs",
        1,
        (at_most(0.333),),  # 3 million values a second.
    )
    yield Result(
        f"files of the projection, {what}, per value",
        folder_bytes(cached(path)) / rows,
        raw_nbytes / rows,
        "raw DuckDB table of the same rows",
        "B",
        1,
    )


def raw_copy(reader: RunsReader, folder: Path) -> None:
    """The rows as a plain table, a part at a time."""
    connection = duckdb.connect(str(folder / "raw.duckdb"), config={"threads": 2})
    query = "FROM store.metric_points LIMIT 5_000_000 OFFSET {}"
    offset = 0
    while len(part := reader.sql(query.format(offset)).arrow()):
        connection.register("part", part)
        connection.execute(
            "CREATE TABLE p AS FROM part" if not offset else "INSERT INTO p FROM part"
        )
        connection.unregister("part")
        offset += len(part)
    connection.close()


def main(arguments: Sequence[str]) -> None:
    """Runs it in the sizes that are given as `name=number`."""
    sizes = {name: int(number) for name, _, number in (one.partition("=") for one in arguments)}
    print(machine(), flush=True)
    for result in run(**sizes):
        print(line(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
