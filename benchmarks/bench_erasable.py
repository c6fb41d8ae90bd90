"""What sealing costs: an erasable workspace beside a plain one, and how long an erasure takes.

Appends of 1 and of 1,000 events (100 bytes each), 100,000 logged values until they are on disk,
catching up from nothing, and a filtered list by a reader that has caught up.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.bench_append import times
from benchmarks.bench_queries import fill
from benchmarks.harness import Result, cached, scratch, seconds, side_by_side, sized
from runlore import Experiment, Run, Workspace
from runlore.domain.events import TagSet
from runlore.domain.ids import run_stream
from runlore.projections.cached_tables import tables_in
from runlore.storage.journal import Pending
from runlore.workspace import session_of

PLAIN = "the same in a plain workspace"


def run() -> Iterator[Result]:
    """Both kinds of workspace take turns."""
    runs = sized(20_000, 1_000)
    with (
        scratch() as folder,
        Workspace.create("sealed", path=folder / "sealed", erasable=True) as sealed,
        Workspace.create("plain", path=folder / "plain") as plain,
    ):
        for batch, commits, repeat in ((1, 200, 9), (1_000, 5, 9)):
            yield side_by_side(
                f"erasable: append, {batch} event(s) of one run a commit, per event",
                partial(times, commits, appender(sealed), batch),
                PLAIN,
                partial(times, commits, appender(plain), batch),
                repeat=repeat,
                count=batch * commits,
                unit="µs",
            )
        values = sized(100_000)
        yield side_by_side(
            f"erasable: {values:,} values logged and flushed, per value",
            logger(sealed, values),
            PLAIN,
            logger(plain, values),
            repeat=9,
            count=values,
            unit="µs",
        )
    with (
        scratch() as folder,
        Workspace.create("sealed", path=folder / "sealed", erasable=True) as sealed,
        Workspace.create("plain", path=folder / "plain") as plain,
    ):
        for ws in (sealed, plain):
            fill(ws, runs)
        events = sealed.log.head().size
        yield side_by_side(
            f"erasable: catch-up from nothing, {runs:,} runs, per event",
            partial(catch_up, sealed),
            PLAIN,
            partial(catch_up, plain),
            repeat=3,
            count=events,
            unit="µs",
        )
        yield side_by_side(
            f"erasable: filtered list, {runs:,} runs",
            partial(filtered, sealed),
            PLAIN,
            partial(filtered, plain),
            repeat=9,
        )
        yield erasure(sealed, runs)


def appender(ws: Workspace) -> Callable[[int], None]:
    """Appends tags to one run."""
    journal, stream, versions = session_of(ws).journal, run_stream(started(ws).id), count(2)

    def append(batch: int) -> None:
        tags = [TagSet(key="k", value="x" * 80) for _ in range(batch)]
        journal.append([Pending(stream, next(versions), tag) for tag in tags])

    return append


def logger(ws: Workspace, values: int) -> Callable[[], None]:
    """Logs so many values and waits until they are on disk."""
    run = started(ws)

    def log() -> None:
        for number in range(values):
            run.log("loss", number + 0.5)
        run.flush()

    return log


def started(ws: Workspace) -> Run:
    return Experiment(ws, "bench").start_logging(outputs=False, snapshot_directory=None)


def catch_up(ws: Workspace) -> None:
    """By a reader without tables, nor anybody's generation."""
    session_of(ws).writable().drop_projection()
    with suppress(ValueError):  # None at first.
        for tables in tables_in(cached(_folder(ws))):
            shutil.rmtree(tables)
    session_of(ws).reader().projection.refresh()


def filtered(ws: Workspace) -> None:
    experiment = Experiment(ws, "exp-3")
    tags, properties = {"group": "7"}, {"author": "user-3"}
    list(experiment.get_runs(tags=tags, properties=properties, include_children=True))


def erasure(ws: Workspace, runs: int) -> Result:
    """Of one run among many, by a process that has read them all."""
    run = started(ws)
    run.complete()
    session_of(ws).reader().projection.refresh()
    took = seconds(partial(ws.erase_run, run.id, reason="benchmark"))
    after = seconds(session_of(ws).reader().projection.refresh)
    note = f"the next query makes the tables anew: {after:.2f} s"
    what = f"erasable: erasing a run among {runs:,}"
    return Result(what, took * 1e3, None, "", "ms", 1, (), note)


def _folder(ws: Workspace) -> Path:
    assert ws.path is not None, "both are in folders"
    return ws.path
