"""Replay, export, verification and import of a whole workspace, beside reading its log.

`python -m benchmarks.bench_replay 10000 1000000` runs it at numbers of runs of your own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.bench_queries import fill
from benchmarks.harness import Result, scratch, seconds, shown_as_it_runs, sized
from runlore import Workspace
from runlore.audit.bundles.checks import verify_bundle
from runlore.storage.log_query import LogQuery
from runlore.workspace import session_of

SIZES = (20_000,)


def run(sizes: Sequence[int] = ()) -> Iterator[Result]:
    """For each number of runs (three events each, without values): events a second, once each."""
    for size in sizes or [sized(one) for one in SIZES]:
        with scratch() as folder, Workspace.create("bench", path=folder / "ws") as ws:
            fill(ws, size)
            yield from figures(ws, folder, size)


def figures(ws: Workspace, folder: Path, size: int) -> Iterator[Result]:
    """In the order in which they need each other."""
    events = session_of(ws).log.head().size
    baseline = events / seconds(lambda: read(ws))
    bundle, alone = folder / "all.bundle", folder / "one.bundle"
    session_of(ws).reader().projection.refresh()

    def rate(what: str, action: Callable[[], object], note: str = "") -> Result:
        per_s = events / seconds(action)
        named = f"{what}, {size:,} runs ({events:,} events)"
        return Result(named, per_s, baseline, "reading the log", "events/s", 1, note=note)

    yield rate("replay", lambda: ws.audit.replay())
    yield rate("replay, as of the middle", lambda: ws.audit.replay(to=events // 2))
    yield rate("export of all", lambda: ws.export(bundle))
    megabytes = bundle.stat().st_size / 1e6
    yield rate(
        "export of one run",
        lambda: ws.export(alone, run="run-7"),
        "reads all leaves of the log",
    )
    yield rate("verify-bundle", lambda: verify_bundle(bundle), f"{megabytes:.1f} MB")
    with Workspace.create("other", path=folder / "other") as other:
        yield rate("import", lambda: other.import_bundle(bundle))
        yield rate("import, all of it there", lambda: other.import_bundle(bundle))


def read(ws: Workspace) -> None:
    """Every row of the log, as Python objects."""
    position = 0
    while rows := session_of(ws).log.read_log(LogQuery(after_position=position, limit=30_000)):
        position = rows[-1].position


if __name__ == "__main__":
    sizes = [int(argument) for argument in sys.argv[1:]]
    shown_as_it_runs(run(sizes))
