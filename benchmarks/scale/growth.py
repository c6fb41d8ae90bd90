"""runlore at growing sizes: one workspace for runs, one for points, measured at every size."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.bench_append import raw_inserter
from benchmarks.bench_queries import TREE, fill
from benchmarks.fresh import folder_bytes, fresh, peak_bytes, say
from benchmarks.harness import seconds
from benchmarks.scale.curves import FLAT, LINEAR, SUBLINEAR, Measured, Quantity
from benchmarks.workloads import BareBody, call_all, noisy
from runlore import Experiment, Run, Workspace

WANTED: Final = 20
SERIES: Final = 100_000
BATCH: Final = 10_000

RUNS: Final = (
    Quantity("runs", "log", "run.log, mean per call", "µs", FLAT),
    Quantity("runs", "commit", "start and complete a run", "ms", FLAT),
    Quantity("runs", "search", f"find {WANTED} runs by tag", "ms", SUBLINEAR),
    Quantity("runs", "descendants", "list 100 descendants", "ms", SUBLINEAR),
    Quantity("runs", "first", "first answer of a fresh process, a search", "ms", SUBLINEAR),
    Quantity("runs", "disk", "folder on disk", "MB", LINEAR),
    Quantity("runs", "memory", "peak memory of that fresh process", "MB", SUBLINEAR),
)
POINTS: Final = (
    Quantity("points", "log", "run.log, mean per call", "µs", FLAT),
    Quantity("points", "commit", "start and complete a run", "ms", FLAT),
    Quantity("points", "read", "read one series, per 100,000 points", "ms", FLAT),
    Quantity(
        "points", "first", "first answer of a fresh process, SQL over metrics", "ms", SUBLINEAR
    ),
    Quantity("points", "again", "the same SQL again", "ms", SUBLINEAR),
    Quantity("points", "disk", "folder on disk", "MB", LINEAR),
    Quantity("points", "memory", "peak memory of that fresh process", "MB", SUBLINEAR),
)


@dataclass(frozen=True)
class Effort:
    """How often things are repeated at each size."""

    calls: int
    repeat: int
    processes: int


FULL: Final = Effort(calls=20_000, repeat=51, processes=4)
QUICK: Final = Effort(calls=200, repeat=1, processes=1)


def runs(folder: Path, sizes: Sequence[int], effort: Effort = FULL) -> Iterator[Measured]:
    """Figures by number of runs; sizes are rounded up to whole trees of 101 runs."""
    with Workspace.create("scale", path=folder) as ws:
        made = 0
        for asked in sizes:
            size = -(-asked // TREE) * TREE
            fill(ws, size, made)
            experiment = Experiment(ws, "exp-3")
            for _ in range(0 if made else WANTED):
                started = start(experiment)
                started.tag("wanted", "yes")
                started.complete()
            made = size
            yield log(experiment, asked, effort)
            yield commit(experiment, asked, effort, folder)
            search = partial(find, experiment)
            search()  # Catches up.
            yield Measured("search", asked, median_ms(search, effort.repeat))
            descend = partial(descendants, ws.get_run("run-0"))
            yield Measured("descendants", asked, median_ms(descend, effort.repeat))
            yield from first_answer("search", folder, asked, effort.processes)


def points(folder: Path, sizes: Sequence[int], effort: Effort = FULL) -> Iterator[Measured]:
    """Figures by number of points; series of 100,000 points, one to a run."""
    values = np.random.default_rng(0).standard_normal(SERIES)
    with Workspace.create("scale", path=folder) as ws:
        experiment = Experiment(ws, "scale")
        made = 0
        for size in sizes:
            while made < size:
                run = start(experiment)
                count = min(SERIES, size - made)
                for at in range(0, count, BATCH):
                    run.log_batch("loss", values[at : min(at + BATCH, count)])
                run.complete()
                made += count
            yield log(experiment, size, effort)
            yield commit(experiment, size, effort, folder)
            yield read(run, size, count, folder)
            yield from first_answer("sql", folder, size, effort.processes)


def first_answer(what: str, folder: Path, size: int, processes: int) -> Iterator[Measured]:
    """Of a fresh process, interpreter and imports included; the first one prepares the way."""
    took = []
    for _ in range(processes):
        before = time.monotonic()
        answer = fresh("benchmarks.scale.growth", what, folder)
        took.append(answer["answered"] - before)
    yield Measured("first", size, statistics.median(took[1:] or took) * 1e3)
    if "again_ms" in answer.said:
        yield Measured("again", size, answer["again_ms"])
    yield Measured("memory", size, answer["peak_bytes"] / 1e6)
    yield Measured("disk", size, folder_bytes(folder) / 1e6)


def start(experiment: Experiment) -> Run:
    return experiment.start_logging(outputs=False, snapshot_directory=None)


def start_and_complete(experiment: Experiment) -> None:
    start(experiment).complete()


def descendants(root: Run) -> None:
    assert len(list(root.get_children(recursive=True))) == TREE - 1


def find(experiment: Experiment) -> None:
    found = list(experiment.get_runs(tags={"wanted": "yes"}))
    assert len(found) == WANTED, f"{len(found)} runs were found, {WANTED} are there"


def log(experiment: Experiment, size: int, effort: Effort) -> Measured:
    """Calls of `run.log`, in turns with the bare Python body."""
    run = start(experiment)
    values = noisy(effort.calls)
    body = BareBody()
    took = [(call_all(run.log, values), call_all(body.log, values)) for _ in range(5)]
    run.complete()
    ours, bare = (statistics.median(part) / effort.calls * 1e6 for part in zip(*took, strict=True))
    return Measured("log", size, ours, bare)


def commit(experiment: Experiment, size: int, effort: Effort, folder: Path) -> Measured:
    """Start and complete, in turns with two commits of raw sqlite3 in a small file."""
    insert = raw_inserter(folder.with_name(f"raw-{size}.sqlite"))

    def two_commits() -> None:
        insert(1)
        insert(1)

    took = [
        (seconds(partial(start_and_complete, experiment)), seconds(two_commits))
        for _ in range(effort.repeat)
    ]
    ours, raw = (statistics.median(part) * 1e3 for part in zip(*took, strict=True))
    return Measured("commit", size, ours, raw)


def read(run: Run, size: int, count: int, folder: Path) -> Measured:
    """One series, in turns with numpy's reading of as many steps, times and values."""
    path = folder.with_name("series.npy")
    np.save(path, np.zeros((3, count)))
    took = [
        (seconds(partial(run.values, "loss")), seconds(partial(np.load, path))) for _ in range(15)
    ]
    ours, file = (
        statistics.median(part) * 1e3 * SERIES / count for part in zip(*took, strict=True)
    )
    return Measured("read", size, ours, file)


def median_ms(action: Callable[[], object], repeat: int) -> float:
    return statistics.median(seconds(action) for _ in range(repeat)) * 1e3


SQL: Final = "SELECT run_id, last FROM metrics WHERE metric = 'loss' ORDER BY last LIMIT 10"


def answer(what: str, folder: str) -> None:
    """In a fresh process: opens the workspace, asks once, and asks again."""
    ws = Workspace.open(folder)
    if what == "search":
        find(Experiment(ws, "exp-3"))
        say(answered=time.monotonic(), peak_bytes=peak_bytes())
    else:
        assert ws.sql(SQL).fetchall()
        answered = time.monotonic()
        again_ms = median_ms(lambda: ws.sql(SQL).fetchall(), 5)
        say(answered=answered, again_ms=again_ms, peak_bytes=peak_bytes())
    ws.close()


if __name__ == "__main__":
    answer(*sys.argv[1:])
