"""The life of a run, its sync calls, and many children at once, beside raw sqlite3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks import syncs
from benchmarks.bench_append import raw_inserter, raw_rows
from benchmarks.fresh import fresh
from benchmarks.harness import Result, at_most, exactly, not_run, scratch, side_by_side, sized
from runlore import Experiment, Workspace

RUNS = 100


def run() -> Iterator[Result]:
    """Two synced commits a run; 10,000 children in one commit, and listed."""
    children = sized(10_000)
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
            goals=(at_most(0.7),),
        )
        yield sync_calls(folder)
        parent = experiment.start_logging(outputs=False, snapshot_directory=None)
        yield side_by_side(
            f"create_children({children:,})",
            lambda: parent.create_children(children),
            f"one raw sqlite3 commit of {children:,} rows",
            lambda: insert(children),
            repeat=5,
            goals=(at_most(400),),
        )
        parent = experiment.start_logging(outputs=False, snapshot_directory=None)
        parent.create_children(children)
        assert len(list(parent.get_children(recursive=True))) == children
        select = raw_rows(folder / "raw.sqlite", children)
        yield side_by_side(
            f"get_children(recursive) to {children:,} Run objects",
            lambda: list(parent.get_children(recursive=True)),
            f"raw sqlite3 SELECT of {children:,} streams",
            select,
            repeat=9,
            goals=(at_most(40),),
            warm=True,
        )


def sync_calls(folder: Path) -> Result:
    """Of a process with 30 runs less those of one with 10, so that opening does not count."""
    what, goals = "sync calls of start_logging + complete, per run", (exactly(2),)
    missing = syncs.why_not()
    if missing:
        return not_run(what, missing, goals=goals)
    counts = []
    for runs in (10, 30):
        trace = folder / f"trace-{runs}"
        workspace = folder / f"synced-{runs}"
        fresh("benchmarks.workloads", "starts", workspace, runs, prefix=syncs.prefix(trace))
        counts.append(syncs.counted(trace))
    return Result(what, (counts[1] - counts[0]) / 20, None, "", "", 1, goals, "counted by strace")
