"""Catch-up beside the least that a projection must do: read, decode, append the same rows.

The least is told the rows in advance, as Python tuples: it reads the log and decodes its events in
the same batches, makes Arrow tables of the rows and appends them, in a transaction a batch, to
tables of the same columns in a DuckDB file. What it leaves out is to find out which rows those are.
Values are decoded by it as well, and appended as they are.

Figures are processor time of all threads, per event, from empty tables on: runlore decodes in one
thread while DuckDB writes in another. `python -m benchmarks.bench_catch_up [RUNS [VALUE_BATCHES]]`.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from benchmarks.bench_points import add, add_runs, batch
from benchmarks.bench_queries import fill
from benchmarks.harness import Result, at_most_times, line, machine, scratch, sized
from runlore import Workspace
from runlore.domain.events import ValuesLogged
from runlore.projections.arrow_tables import table_of_rows
from runlore.projections.connection import connect
from runlore.projections.duckdb_view import DuckDBView
from runlore.projections.points import points_of
from runlore.projections.projection_of_runs import RunsProjection
from runlore.projections.runner import BATCH, catch_up
from runlore.storage.codec import facts_of
from runlore.storage.collector import collector_paused
from runlore.storage.event_log import EventLog
from runlore.storage.log_query import LogQuery
from runlore.workspace import session_of

FIRST_BATCH = 1_000
TURNS = 7
ARROW = {"BIGINT": "int64", "VARCHAR": "string", "BOOLEAN": "bool", "DOUBLE": "double"}
OF_VALUES = {"tail_points", "metric_latest", "segments", "series"}


class Rows(NamedTuple):
    """The rows that one batch adds to a table."""

    table: str
    schema: dict[str, str]
    rows: list[tuple[Any, ...]]


def run(runs: int | None = None, value_batches: int | None = None) -> Iterator[Result]:
    """Three events a run with a tag and a property; small batches of values of ten series."""
    runs = runs or sized(20_000)
    with scratch() as folder, Workspace.create("bench", path=folder / "ws") as ws:
        fill(ws, runs)
        yield beside_the_least(
            session_of(ws).log, folder, f"catch-up of {runs:,} runs, three events each", 1.3
        )
    count = value_batches or sized(4_000)
    for series, steps in ((10, 10), (10, 1)):
        with scratch() as folder, Workspace.create("bench", path=folder / "ws") as ws:
            names = [f"metric-{n}" for n in range(series)]
            made = [batch(names, steps, seed=seed) for seed in range(100)]
            add_runs(ws, ["r0"])
            add(ws, [("r0", made[number % len(made)]) for number in range(count)])
            what = f"catch-up of {count:,} batches of {series * steps} values of {series} series"
            yield beside_the_least(session_of(ws).log, folder, what, 1.5)


def beside_the_least(log: EventLog, folder: Path, what: str, times: float) -> Result:
    """Both from zero, in turns."""
    batches = rows_of_batches(log, folder / "rows.duckdb")
    head = log.last_position()
    took = [
        (ours(log, folder / f"ours-{n}.duckdb"), least(log, folder / f"least-{n}.duckdb", batches))
        for n in range(TURNS)
    ]
    mine, theirs = (statistics.median(side) / head * 1e6 for side in zip(*took, strict=True))
    note = "read, decoded, the same rows appended to bare tables"
    return Result(what, mine, theirs, note, "µs", TURNS, (at_most_times(times),))


def processor_s(action: Callable[[], object]) -> float:
    """What a call takes of all processors."""
    gc.collect()
    started = time.process_time()
    action()
    return time.process_time() - started


def ours(log: EventLog, path: Path) -> float:
    """A catch-up of the tables of runs; its processor time."""
    projection = RunsProjection(DuckDBView(connect(path, None)))
    took = processor_s(lambda: catch_up(projection, log))
    projection.view.close()
    return took


def pages(log: EventLog) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The log in the batches of a catch-up."""
    position, limit = 0, FIRST_BATCH
    while rows := log.read_plain(LogQuery(after_position=position, limit=limit)):
        yield rows
        position, limit = rows[-1][0], BATCH


def rows_of_batches(log: EventLog, path: Path) -> list[list[Rows]]:
    """The rows of all tables but those of values, by the batch that adds them."""
    ours(log, path)
    bounds, after = [], 0
    for page in pages(log):
        bounds.append((after, page[-1][0]))
        after = page[-1][0]
    with duckdb.connect(str(path), read_only=True) as connection:
        schemas = {
            name: schema_of(connection, name)
            for (name,) in connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store'"
            ).fetchall()
            if name not in OF_VALUES
        }
        return [
            [rows for name in schemas if (rows := between(connection, name, schemas[name], *bound))]
            for bound in bounds
        ]


def schema_of(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    return {
        name: ARROW[kind]
        for name, kind, *_ in connection.execute(f"DESCRIBE store.{table}").fetchall()
    }


def between(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    schema: dict[str, str],
    after: int,
    upto: int,
) -> Rows | None:
    place = "from_position" if "from_position" in schema else "position"
    found = connection.execute(
        f"FROM store.{table} WHERE {place} > ? AND {place} <= ? ORDER BY {place}", [after, upto]
    ).fetchall()
    return Rows(table, schema, found) if found else None


def least(log: EventLog, path: Path, batches: Sequence[Sequence[Rows]]) -> float:
    """Read and decode, and append rows that are known already; the processor time of that."""
    with connect(path, None) as connection, collector_paused():
        return processor_s(lambda: append_all(log, connection, batches))


def append_all(
    log: EventLog, connection: duckdb.DuckDBPyConnection, batches: Sequence[Sequence[Rows]]
) -> None:
    """Read and decode the log's batches, and append to each the rows of its tables."""
    numbers: dict[tuple[str, str, str], int] = {}
    for page, tables in zip(pages(log), batches, strict=True):
        values = [(1, fact) for fact in facts_of(page) if fact.topic == ValuesLogged.topic]
        connection.execute("BEGIN TRANSACTION")
        for name, schema, rows in tables:
            append(connection, name, table_of_rows(rows, schema))
        for points in points_of(values, numbers, damaged=[]) if values else ():
            append(connection, "points", points.table())
        connection.execute("COMMIT")


def append(connection: duckdb.DuckDBPyConnection, name: str, table: Any) -> None:
    connection.register("added", table)
    connection.execute(f"CREATE TABLE IF NOT EXISTS {name} AS FROM added LIMIT 0")
    connection.execute(f"INSERT INTO {name} FROM added")
    connection.unregister("added")


if __name__ == "__main__":
    print(machine())
    for result in run(*map(int, sys.argv[1:])):
        print(line(result), flush=True)
