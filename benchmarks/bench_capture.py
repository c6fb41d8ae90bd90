"""What the capture costs: at a run's start, beside it, and for each sample of the system.

Processor time, because wall time on a shared machine says more about the others; the first row is
wall time, on disk, and its two sides take turns.
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
        yield _processor_time(experiment)
        yield Result("the first run's capture, its thread included", beside, None, "", "ms", 1)
        yield _samples(ws)


def _processor_time(experiment: Experiment) -> Result:
    """Of a start, the median of turns."""
    spent: dict[str | None, list[float]] = {None: [], "none": []}
    for _ in range(sized(200, 5)):
        for capture, times in spent.items():
            before = time.process_time()
            run = experiment.start_logging(outputs=False, snapshot_directory=None, capture=capture)
            times.append(time.process_time() - before)
            run.complete()
    more = 1e3 * (statistics.median(spent[None]) - statistics.median(spent["none"]))
    what = "processor time that the capture adds to start_logging"
    return Result(what, more, None, "", "ms", len(spent[None]), (at_most(1),))


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
