"""Lists of runs and trees on 10,000 and 100,000 runs, catch-up, beside raw DuckDB and sqlite3."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import duckdb

from benchmarks.harness import Result, scratch, seconds, side_by_side
from runlore import Experiment, Workspace
from runlore.domain.events import ExperimentCreated, RunCompleted, RunCreated, TagSet
from runlore.domain.ids import experiment_stream, run_stream
from runlore.domain.status import Status
from runlore.storage.journal import Pending
from runlore.workspace import session_of

SIZES = (10_000, 100_000)
EXPERIMENTS = 20
TREE = 101  # A root with ten children, each with nine of its own.


def run() -> Iterator[Result]:
    """For each size: catch-up from zero, filtered list, descendants of one root."""
    for size in SIZES:
        with scratch() as folder, Workspace.create("bench", path=folder / "ws") as ws:
            fill(ws, size)
            yield catch_up(ws, size)
            yield from queries(ws, folder, size)


def fill(ws: Workspace, size: int, first: int = 0) -> None:
    """Runs in trees of 101, spread over 20 experiments; a tag, a property, an end for each.

    `first` is how many there are already, a whole number of trees.
    """
    journal = session_of(ws).journal
    rng = random.Random(first)
    for number in range(0 if first else EXPERIMENTS):
        name = f"exp-{number}"
        created = ExperimentCreated(experiment_id=name, name=name)
        journal.append([Pending(experiment_stream(name), 1, created)])
    pending: list[Pending] = []
    for number in range(first, size):
        place = number % TREE
        root = number - place
        parent = None if place == 0 else root if place <= 10 else root + 1 + (place - 11) // 9
        experiment = f"exp-{root // TREE % EXPERIMENTS}"
        stream = run_stream(f"run-{number}")
        created_run = RunCreated(
            run_id=f"run-{number}",
            experiment_id=experiment,
            experiment_name=experiment,
            status=Status.RUNNING,
            parent_id=None if parent is None else f"run-{parent}",
            root_id=f"run-{root}",
            tags={"group": str(rng.randrange(50))},
            properties={"author": f"user-{rng.randrange(10)}"},
        )
        pending.append(Pending(stream, 1, created_run))
        pending.append(Pending(stream, 2, TagSet(key="seen", value=None)))
        pending.append(Pending(stream, 3, RunCompleted()))
        if len(pending) >= 30_000:
            journal.append(pending)
            pending = []
    journal.append(pending)


def catch_up(ws: Workspace, size: int) -> Result:
    """Events per second from nothing, beside reading the same rows with sqlite3."""
    log = session_of(ws).log
    head = log.head().size
    ours = seconds(session_of(ws).reader().projection.refresh)
    path = ws.path
    assert path is not None
    connection = sqlite3.connect(path / "log.sqlite")
    baseline = seconds(lambda: connection.execute("SELECT * FROM stored_events").fetchall())
    return Result(
        f"catch-up from zero, {size:,} runs ({head:,} events), per event",
        ours / head * 1e6,
        baseline / head * 1e6,
        "sqlite3 SELECT * of the log",
        "µs",
        1,
    )


def queries(ws: Workspace, folder: Path, size: int) -> Iterator[Result]:
    """Through the SDK, to Run objects; beside the plainest SQL over the same rows in DuckDB."""
    experiment = Experiment(ws, "exp-3")
    raw = raw_tables(ws, folder / "raw.duckdb")
    tags, properties = {"group": "7"}, {"author": "user-3"}
    expected = raw.execute(FILTERED, ["exp-3", "7", "user-3"]).fetchall()
    found = list(experiment.get_runs(tags=tags, properties=properties, include_children=True))
    assert len(found) == len(expected), (len(found), len(expected))
    yield side_by_side(
        f"get_runs(tag, property) of one experiment, {size:,} runs",
        lambda: list(experiment.get_runs(tags=tags, properties=properties, include_children=True)),
        "raw DuckDB, the same filter",
        lambda: raw.execute(FILTERED, ["exp-3", "7", "user-3"]).fetchall(),
        repeat=15,
        warm=True,
    )
    root = ws.get_run("run-0")
    descendants = raw.execute(NAIVE_TREE, ["run-0"]).fetchall()
    assert len(list(root.get_children(recursive=True))) == len(descendants)
    yield side_by_side(
        f"get_children(recursive), {len(descendants)} of {size:,} runs",
        lambda: list(root.get_children(recursive=True)),
        "raw DuckDB, naive recursive CTE",
        lambda: raw.execute(NAIVE_TREE, ["run-0"]).fetchall(),
        repeat=15,
        warm=True,
    )


FILTERED = """
SELECT run_id FROM runs r WHERE experiment = ?
AND EXISTS (FROM tags t WHERE t.run_id = r.run_id AND t.key = 'group' AND t.value = ?)
AND EXISTS (FROM properties p WHERE p.run_id = r.run_id AND p.key = 'author' AND p.value = ?)
"""

NAIVE_TREE = """
WITH RECURSIVE below AS (
    SELECT run_id FROM runs WHERE parent_id = ?
    UNION ALL SELECT r.run_id FROM runs r JOIN below b ON r.parent_id = b.run_id
) SELECT run_id FROM below
"""


def raw_tables(ws: Workspace, path: Path) -> duckdb.DuckDBPyConnection:
    """The views' rows as plain tables in another database, with the same threads."""
    connection = duckdb.connect(str(path), config={"threads": 2})
    for view in ("runs", "tags", "properties"):
        connection.register("source", ws.sql(f"SELECT * FROM {view}").arrow())
        connection.execute(f"CREATE TABLE {view} AS SELECT * FROM source")
        connection.unregister("source")
    return connection
