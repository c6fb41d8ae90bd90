"""What the capture costs: at a run's start, beside it, and for each sample of the system.

Processor time, because wall time on a shared machine says more about the others, unless it says so:
then the two sides take turns.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator

from benchmarks.harness import Result, at_most, scratch, side_by_side, sized
from runlore import Experiment, Workspace
from runlore.engine.capture.sampler import Sampler
from runlore.engine.capture.samples import INTERVAL_S, Samples
from runlore.workspace import session_of

RUNS = 50


def run() -> Iterator[Result]:
    """A start with and without the capture, the thread beside the first one, the samples."""
    with scratch() as folder, Workspace.create("bench", path=folder / "ws") as ws:
        experiment = Experiment(ws, "capture")

        def starts(capture: str | None, count: int = RUNS) -> None:
            for _ in range(count):
                experiment.start_logging(outputs=False, snapshot_directory=None, capture=capture)

        before = time.process_time()
        experiment.start_logging(
            outputs=False, snapshot_directory=None, capture="program"
        ).complete()
        experiment.start_logging(outputs=False, snapshot_directory=None).complete()
        beside = 1e3 * (time.process_time() - before)
        yield side_by_side(
            "start_logging with the capture, on disk, per run",
            lambda: starts(None),
            "without",
            lambda: starts("none"),
            repeat=9,
            count=RUNS,
        )
        yield from _added(experiment)
        yield Result("the first run's capture, its thread included", beside, None, "", "ms", 1)
        yield _samples(ws)


def _added(experiment: Experiment) -> Iterator[Result]:
    """What the capture adds to a start: the median of pairs, whose sides take turns."""
    pairs: list[tuple[dict[str | None, float], dict[str | None, float]]] = []
    for number in range(sized(400, 5)):
        wall: dict[str | None, float] = {}
        processor: dict[str | None, float] = {}
        for capture in (None, "none") if number % 2 else ("none", None):
            before = time.perf_counter(), time.process_time()
            run = experiment.start_logging(outputs=False, snapshot_directory=None, capture=capture)
            wall[capture] = time.perf_counter() - before[0]
            processor[capture] = time.process_time() - before[1]
            run.complete()
        pairs.append((wall, processor))
    for which, what in enumerate(("wall time", "processor time")):
        more = statistics.median(pair[which][None] - pair[which]["none"] for pair in pairs)
        yield Result(
            f"{what} that the capture adds to start_logging, median of pairs",
            1e3 * more,
            None,
            "",
            "ms",
            len(pairs),
            (at_most(1),),
        )


def _samples(ws: Workspace) -> Result:
    """Of a core, the part that samples every 10 s take, with a commit of their own for each."""
    session, count = session_of(ws).writable(), sized(200, 4)
    samples = Samples(interval_s=3_600)
    run = Experiment(ws, "samples").start_logging(
        outputs=False, snapshot_directory=None, capture="none"
    )
    source = Sampler(os.getpid(), str(session.files))
    samples.follow(session, run.id, source=source)
    samples.sample_all()
    spent = []
    for _ in range(count):
        before = time.process_time()
        samples.sample_all()
        session.flush()
        spent.append(time.process_time() - before)
    samples.close()
    run.complete()
    share = 100 * statistics.median(spent) / INTERVAL_S
    what = "system metrics every 10 s, of a core"
    return Result(what, share, None, "", "%", count, (at_most(0.1),))
