"""Appends of small events (about 100 bytes) to the log, beside raw sqlite3 with the same syncs."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.harness import Result, scratch, side_by_side
from runlore.storage.event_log import NewEvent
from runlore.storage.open_sqlite import open_sqlite

STATE = b"x" * 100
METADATA: dict[str, str | int] = {"writer": "0" * 32}


def run() -> Iterator[Result]:
    """Batches of 1, 10 and 1,000 events a commit; both sides sync every commit to disk."""
    with scratch() as folder:
        append = appender(folder / "log.sqlite")
        insert = raw_inserter(folder / "raw.sqlite")
        for batch, commits, repeat in ((1, 200, 9), (10, 100, 9), (1_000, 10, 9)):
            yield side_by_side(
                f"append, {batch} event(s) a commit, per event",
                partial(times, commits, append, batch),
                "raw sqlite3 executemany, FULL",
                partial(times, commits, insert, batch),
                repeat=repeat,
                count=batch * commits,
                unit="µs",
            )


def times(commits: int, action: Callable[[int], None], batch: int) -> None:
    for _ in range(commits):
        action(batch)


def appender(path: Path) -> Callable[[int], None]:
    """Appends a batch to a stream of its own."""
    log = open_sqlite(path)
    streams = count()

    def append(batch: int) -> None:
        stream = f"run/{next(streams)}"
        log.append(
            [
                NewEvent(stream, version, "run.tag_set", STATE, os.urandom(16), METADATA)
                for version in range(1, batch + 1)
            ]
        )

    return append


def raw_inserter(path: Path) -> Callable[[int], None]:
    """What the same rows cost without positions, leaves, times and the writers' queue."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE events (id INTEGER PRIMARY KEY, stream TEXT, version INTEGER, topic TEXT, "
        "state BLOB, UNIQUE (stream, version))"
    )
    streams = count()

    def insert(batch: int) -> None:
        stream = f"run/{next(streams)}"
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO events (stream, version, topic, state) VALUES (?, ?, ?, ?)",
            [(stream, version, "run.tag_set", STATE) for version in range(1, batch + 1)],
        )
        connection.execute("COMMIT")

    return insert


def raw_rows(path: Path, count: int) -> Callable[[], object]:
    """Reads so many streams' names from what `raw_inserter` wrote."""
    connection = sqlite3.connect(path)
    query = "SELECT stream, version FROM events LIMIT ?"
    return lambda: connection.execute(query, [count]).fetchall()
