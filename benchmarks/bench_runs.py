"""The life of a run: start and complete, and many children at once, beside raw sqlite3 commits."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench_append import raw_inserter
from benchmarks.harness import Result, scratch, side_by_side
from runlore import Experiment, Workspace

RUNS = 100
CHILDREN = 10_000


def run() -> Iterator[Result]:
    """Two synced commits a run; 10,000 children in one."""
    with scratch() as folder, Workspace.create("bench", path=folder / "ws") as ws:
        experiment = Experiment(ws, "runs")
        insert = raw_inserter(folder / "raw.sqlite")

        def start_and_complete() -> None:
            for _ in range(RUNS):
                experiment.start_logging(outputs=False, snapshot_directory=None).complete()

        def two_commits() -> None:
            for _ in range(RUNS):
                insert(1)
                insert(1)

        yield side_by_side(
            "start_logging + complete, on disk, per run",
            start_and_complete,
            "two raw sqlite3 commits, FULL",
            two_commits,
            repeat=9,
            count=RUNS,
        )
        parent = experiment.start_logging(outputs=False, snapshot_directory=None)
        yield side_by_side(
            f"create_children({CHILDREN:,})",
            lambda: parent.create_children(CHILDREN),
            f"one raw sqlite3 commit of {CHILDREN:,} rows",
            lambda: insert(CHILDREN),
            repeat=5,
        )
