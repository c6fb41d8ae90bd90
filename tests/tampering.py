"""A small log, and everything that can be done to its file behind runlore's back."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

from runlore.storage.event_log import Drained, NewEvent
from runlore.storage.log_query import LogQuery
from runlore.storage.merkle import Frontier, leaf_hash
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.recorder import LogRecorder
from runlore.storage.sqlite_guard import APPLICATION_ID
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.stamp import observed_at
from runlore.testing.logs import Clock, all_rows

COLUMNS: Final = (
    "notification_id, originator_id, originator_version, topic, state, event_id, recorded_at, "
    "metadata, leaf"
)
STREAMS: Final = ("experiment/e", "run/a", "run/a/values/w", "run/b", "writer/w")
EVENTS: Final = 60


def make_log(
    path: Path, *, page_size: int = 8192, events: int = EVENTS, slow_clocks: bool = False
) -> None:
    """Events of several streams, sizes and times, and marks of spools.

    Small pages make a tree of several levels of a few events, as millions make of large ones. With
    slow clocks some events count earlier than they were recorded.
    """
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size={page_size}")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute("PRAGMA user_version=1")
        connection.execute("VACUUM")
    random = Random(1)
    clock = Clock()
    versions = dict.fromkeys(STREAMS, 0)
    with closing(open_sqlite(path, clock=clock)) as log:
        count = 0
        while count < events:
            clock.now += random.choice((0, 0, 7, 1000))
            batch = []
            for _ in range(min(random.choice((1, 1, 2, 5)), events - count)):
                stream = random.choice(STREAMS)
                versions[stream] += 1
                nbytes = random.choice((1, 20, 60, 60, 700))
                batch.append(
                    NewEvent(
                        stream,
                        versions[stream],
                        random.choice(("run.tag_set", "run.started", "run.values_logged")),
                        random.randbytes(nbytes),
                        random.randbytes(16),
                        {"writer": random.choice(("w", "v"))},
                    )
                )
            count += len(batch)
            drained = Drained(random.choice(("v", "w")), 1, count) if count % 5 == 0 else None
            behind = random.choice((0, 0, 1_500)) if slow_clocks else 0
            clock.now -= behind
            log.append(batch, drained=drained)
            clock.now += behind


@contextmanager
def opened(path: Path) -> Iterator[SqliteLog]:
    """The log in the file, closed afterwards."""
    log = open_sqlite(path)
    try:
        yield log
    finally:
        log.close()


@contextmanager
def tampering(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as anybody opens it who may write to it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def all_reads(path: Path) -> list[Any]:
    """What every read of the log gives; every way into its trees is walked once.

    All but what no leaf covers: the head's time, and how far spools were drained.
    """
    with opened(path) as log:
        rows = all_rows(log)
        times = sorted({time for row in rows for time in (row.recorded_at, observed_at(row))})
        return [
            rows,
            [log.read_log(LogQuery(after_position=n, limit=3)) for n in range(EVENTS + 2)],
            [
                log.read_log(LogQuery(after_position=n, limit=9, upto_position=n + 2))
                for n in range(EVENTS)
            ],
            [list(log.read_stream(stream)) for stream in STREAMS],
            [list(log.read_stream("run/a", after_version=n)) for n in range(EVENTS)],
            [list(log.read_stream(row.stream, after_version=row.version - 1)) for row in rows],
            [
                list(log.read_log(LogQuery(prefix=prefix)))
                for prefix in ("run/", "run/a", "e", "w", "x")
            ],
            [
                log.count_events(LogQuery(prefix=prefix))
                for prefix in ("run/", "run/a/", "e", "w", "x")
            ],
            [log.positions_of(LogQuery(under=stream)) for stream in STREAMS],
            [log.position_at(time + n) for time in times for n in (-1, 0, 1)],
            (log.head().position, log.head().frontier),
            log.last_position(),
            [LogRecorder(log).select_notifications(n, 2) for n in range(1, EVENTS, 7)],
        ]


def rewrite(connection: sqlite3.Connection, changed: Callable[[list[Any]], Any]) -> None:
    """Changes rows and makes leaves and head anew: all that who owns the file can do.

    `changed` gets the rows as lists and changes them in place; positions are given out anew.
    """
    rows = [list(row) for row in connection.execute(f"SELECT {COLUMNS} FROM stored_events")]
    changed(rows)
    connection.execute("DELETE FROM stored_events")
    for position, row in enumerate(rows, 1):
        row[0] = position
        row[8] = leaf_of(row)
    fill_in = f"INSERT INTO stored_events ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    connection.executemany(fill_in, rows)
    connection.execute("DELETE FROM drained")
    tree = Frontier().extended(row[8] for row in rows)
    connection.execute("PRAGMA ignore_check_constraints=ON")
    connection.execute(
        "UPDATE log_head SET size = ?, position = ?, recorded_at = ?, frontier = ?",
        (tree.size, tree.size, rows[-1][6], tree.to_bytes()),
    )


def leaf_of(row: Sequence[Any]) -> bytes:
    """The leaf of a row's columns."""
    position, stream, version, topic, state, event_id, recorded_at, metadata, *_ = row
    return leaf_hash(position, stream, version, topic, event_id, recorded_at, metadata, state)


# --- mutations by SQL -------------------------------------------------------------------


def flip(connection: sqlite3.Connection, random: Random) -> None:
    """Changes one column of one event; half of the time its leaf is made to fit."""
    position = random.randint(1, EVENTS)
    name, value = random.choice(
        (
            ("originator_id", f"run/{random.random()}"),
            ("originator_version", random.randint(100, 2**40)),
            ("topic", f"run.other{random.random()}"),
            ("state", random.randbytes(random.choice((3, 30, 900)))),
            ("state", str(random.random())),
            ("event_id", random.choice((None, random.randbytes(16)))),
            ("recorded_at", random.randint(1, 2**50)),
            ("metadata", random.choice((None, random.randbytes(9)))),
            ("leaf", random.randbytes(32)),
            ("leaf", random.randbytes(3)),
            ("notification_id", random.choice((0, -3, EVENTS + 1, EVENTS + 100))),
        )
    )
    connection.execute(
        f"UPDATE stored_events SET {name} = ? WHERE notification_id = ?", (value, position)
    )
    if random.random() < 0.5 and name not in ("leaf", "notification_id"):
        _refit(connection, position)


def _refit(connection: sqlite3.Connection, position: int) -> None:
    row = connection.execute(
        f"SELECT {COLUMNS} FROM stored_events WHERE notification_id = ?", (position,)
    ).fetchone()
    if isinstance(row[4], bytes):
        leaf = leaf_of(row)
        connection.execute(
            "UPDATE stored_events SET leaf = ? WHERE notification_id = ?", (leaf, position)
        )


def delete(connection: sqlite3.Connection, random: Random) -> None:
    """Takes out one event, or a few that follow each other."""
    first = random.randint(1, EVENTS)
    last = first + random.choice((0, 0, 1, 20))
    connection.execute(
        "DELETE FROM stored_events WHERE notification_id BETWEEN ? AND ?", (first, last)
    )


def insert(connection: sqlite3.Connection, random: Random) -> None:
    """Adds an event behind the last, or before the first; its leaf fits."""
    position = random.choice((EVENTS + 1, EVENTS + 50, 2**62, 0, -1, -(2**62)))
    row = [position, "run/new", 1, "run.started", b"\x80", b"i" * 16, 2**50, None]
    connection.execute(
        f"INSERT INTO stored_events ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*row, leaf_of(row)),
    )


def swap(connection: sqlite3.Connection, random: Random) -> None:
    """Two events change places, with their leaves or without them."""
    one, other = random.sample(range(1, EVENTS + 1), 2)
    move = "UPDATE stored_events SET notification_id = ? WHERE notification_id = ?"
    for to, where in ((-5, one), (one, other), (other, -5)):
        connection.execute(move, (to, where))
    if random.random() < 0.5:
        leaves = [
            connection.execute(
                "SELECT leaf FROM stored_events WHERE notification_id = ?", (position,)
            ).fetchone()[0]
            for position in (one, other)
        ]
        for position, leaf in zip((other, one), leaves, strict=True):
            connection.execute(
                "UPDATE stored_events SET leaf = ? WHERE notification_id = ?", (leaf, position)
            )
    elif random.random() < 0.5:
        _refit(connection, one)
        _refit(connection, other)


def duplicate(connection: sqlite3.Connection, random: Random) -> None:
    """An event stands there twice: behind the last, or in the place of another."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM stored_events").fetchall()
    row = list(random.choice(rows))
    row[0] = random.choice((EVENTS + 1, random.randint(1, EVENTS)))
    row[2] = 10_000 + row[2]  # A version is there once only; that is SQLite's to keep.
    if random.random() < 0.5:
        row[8] = leaf_of(row)
    connection.execute(
        f"REPLACE INTO stored_events ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row
    )


def truncate(connection: sqlite3.Connection, random: Random) -> None:
    """Takes the end away; the head may be made to say so, as far as it can without the tree."""
    left = random.randint(0, EVENTS - 1)
    connection.execute("DELETE FROM stored_events WHERE notification_id > ?", (left,))
    if random.random() < 0.5:
        connection.execute("UPDATE log_head SET position = ?", (left,))


def touch_head(connection: sqlite3.Connection, random: Random) -> None:
    """Changes what the head says."""
    name, value = random.choice(
        (
            ("size", random.choice((0, EVENTS - 1, EVENTS + 1, 2**40, -EVENTS, "x"))),
            ("position", random.choice((0, EVENTS - 1, EVENTS + 1, 2**40, -1, "x"))),
            ("recorded_at", random.choice((0, 2**52))),
            ("frontier", random.choice((b"", random.randbytes(64), random.randbytes(128), "x"))),
        )
    )
    connection.execute(f"UPDATE log_head SET {name} = ?", (value,))


def touch_steps(connection: sqlite3.Connection, random: Random) -> None:
    """Changes how an answer as of a time is found where clocks disagreed."""
    [(as_of, position)] = connection.execute(
        "SELECT as_of, position FROM as_of_steps ORDER BY random() LIMIT 1"
    )
    statement, params = random.choice(
        (
            ("DELETE FROM as_of_steps WHERE as_of = ?", (as_of,)),
            ("DELETE FROM as_of_steps", ()),
            ("UPDATE as_of_steps SET as_of = as_of - 1 WHERE as_of = ?", (as_of,)),
            ("UPDATE as_of_steps SET position = ? WHERE as_of = ?", (position + 1, as_of)),
            ("UPDATE as_of_steps SET position = 'x' WHERE as_of = ?", (as_of,)),
            ("INSERT INTO as_of_steps VALUES (1, ?)", (position,)),
            ("DROP TABLE as_of_steps", ()),
            ("DROP TABLE settled", ()),
        )
    )
    connection.execute(statement, params)


BY_SQL: Final = (flip, delete, insert, swap, duplicate, truncate, touch_head, touch_steps)


# --- mutations of raw bytes -------------------------------------------------------------


def raw_flip(content: bytearray, random: Random) -> None:
    """One bit."""
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)


def raw_overwrite(content: bytearray, random: Random) -> None:
    """A few bytes, with others or with zeros."""
    at, nbytes = random.randrange(len(content)), random.choice((1, 2, 8, 40))
    filling = random.choice((bytes(nbytes), random.randbytes(nbytes)))
    content[at : at + nbytes] = filling[: len(content) - at]


def raw_increment(content: bytearray, random: Random) -> None:
    """One byte by one, which keeps structures whole more often than chance does."""
    at = random.randrange(len(content))
    content[at] = (content[at] + random.choice((1, -1))) % 256


def raw_copy(content: bytearray, random: Random) -> None:
    """A piece of the file onto another place."""
    nbytes = random.choice((4, 16, 32, 100))
    here, there = (random.randrange(len(content) - nbytes) for _ in range(2))
    content[there : there + nbytes] = content[here : here + nbytes]


def raw_swap_pages(content: bytearray, random: Random) -> None:
    """Two pages change places, or one stands there twice."""
    size = int.from_bytes(content[16:18], "big")
    here, there = random.sample(range(1, len(content) // size), 2)
    one = bytes(content[here * size : (here + 1) * size])
    other = bytes(content[there * size : (there + 1) * size])
    content[there * size : (there + 1) * size] = one
    if random.random() < 0.7:
        content[here * size : (here + 1) * size] = other


def raw_truncate(content: bytearray, random: Random) -> None:
    """The end of the file is gone."""
    del content[random.randrange(1, len(content)) :]


BY_BYTES: Final = (
    raw_flip,
    raw_flip,
    raw_flip,
    raw_flip,
    raw_overwrite,
    raw_increment,
    raw_increment,
    raw_copy,
    raw_swap_pages,
    raw_truncate,
)


def remove_log(path: Path) -> None:
    """The file and what SQLite has beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            os.remove(beside)
