"""What proof costs: verifying a log, leaves on append, a checkpoint, a proof.

500,000 events of a workspace's usual size (160 bytes of columns, a few hundred streams), appended
in large commits. Verification stands beside what nobody can be faster than in Python: sqlite3
reading the same columns, and one SHA-256 over each row.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import statistics
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from unittest.mock import patch

from benchmarks.harness import Result, at_least, scratch, seconds, sized
from runlore.audit.audited import AuditedLog
from runlore.audit.checkpoints import create_checkpoint
from runlore.audit.folder import AuditFolder
from runlore.audit.keys import new_key
from runlore.audit.prove import prove_event
from runlore.storage import stamp
from runlore.storage.event_log import NewEvent
from runlore.storage.held_path import hold
from runlore.storage.merkle import Frontier
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.verification import verify_log

REPEAT = 3
COMMIT = 1_000
READ = "sqlite3 reading the rows, a SHA-256 of each"


def run() -> Iterator[Result]:
    """Verify, append with and without leaves, checkpoint, prove."""
    count = sized(500_000)
    with scratch() as folder:
        path = folder / "log.sqlite"
        with closing(open_sqlite(path)) as log:
            _fill(log, count)
            verifying, reading = [], []
            for _ in range(REPEAT):
                verifying.append(count / seconds(lambda: _verified(log)))
                reading.append(count / seconds(lambda: _read(path)))
            yield Result(
                f"audit verify, {count:,} events",
                statistics.median(verifying),
                statistics.median(reading),
                READ,
                "events/s",
                REPEAT,
                (at_least(200_000),),
            )
            yield from _signing(log, folder, count)
    yield from _appending()


def _signing(log: SqliteLog, folder: Path, count: int) -> Iterator[Result]:
    audited = AuditedLog(log, AuditFolder(hold(folder)), "runlore/benchmark")
    key = folder / "a.key"
    new_key(key, audited.origin)
    first = seconds(lambda: create_checkpoint(audited, key=key))
    yield Result(f"first checkpoint of {count:,} events", first * 1e3, None, "", "ms", 1)
    took = []
    for version in range(1, 12):
        log.append([_event("run/later", version)])
        took.append(seconds(lambda: create_checkpoint(audited, key=key)))
    files = iter(folder / f"{n}.txt" for n in range(10))
    synced = statistics.median(seconds(lambda: _sync(next(files))) for _ in range(10))
    yield Result(
        "checkpoint at a run's end, an event after the last one",
        statistics.median(took) * 1e3,
        synced * 1e3,
        "a file of its size, written and synced",
        "ms",
        len(took),
    )
    proving = [seconds(lambda: prove_event(audited, str(count // 2))) for _ in range(REPEAT)]
    yield Result(
        f"audit prove, of {count:,} events",
        statistics.median(proving) * 1e3,
        None,
        "",
        "ms",
        REPEAT,
    )


def _appending() -> Iterator[Result]:
    count = sized(100_000)
    for batch in (1, COMMIT):
        events = count if batch > 1 else count // 50
        with_leaves, without = [], []
        for _ in range(REPEAT):
            with_leaves.append(events / _append(events, batch))
            with (
                patch.object(stamp, "leaf_hash", lambda *columns: bytes(32)),
                patch.object(Frontier, "extended", lambda frontier, leaves: frontier),
            ):
                without.append(events / _append(events, batch))
        yield Result(
            f"append with leaves and head, {batch:,} events a commit",
            statistics.median(with_leaves),
            statistics.median(without),
            "the same without hashing",
            "events/s",
            REPEAT,
        )


def _append(count: int, batch: int) -> float:
    with scratch() as folder, closing(open_sqlite(folder / "log.sqlite")) as log:
        commits = [
            [_event(f"run/{first}", version) for version in range(1, batch + 1)]
            for first in range(0, count, batch)
        ]
        return seconds(lambda: [log.append(events) for events in commits])


def _fill(log: SqliteLog, count: int) -> None:
    random = Random(1)
    versions = dict.fromkeys((f"run/experiment_{n:04}" for n in range(300)), 0)
    names = list(versions)
    for first in range(0, count, COMMIT):
        events = []
        for _ in range(min(COMMIT, count - first)):
            stream = random.choice(names)
            versions[stream] += 1
            events.append(_event(stream, versions[stream]))
        log.append(events)


def _event(stream: str, version: int) -> NewEvent:
    metadata: dict[str, str | int] = {"writer": "0123456789abcdef0123456789abcdef"}
    return NewEvent(stream, version, "run.tag_set", b"x" * 60, os.urandom(16), metadata)


def _verified(log: SqliteLog) -> None:
    assert verify_log(log).holds, "nobody has touched it"


def _read(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for row in connection.execute("SELECT * FROM stored_events"):
            hashlib.sha256(row[4]).digest()


def _sync(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"x" * 250)
        os.fsync(file.fileno())
