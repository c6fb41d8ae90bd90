"""SQL for the fence of a log in SQLite, on an open connection; see `runlore.storage.fence`."""

from __future__ import annotations

import sqlite3
from typing import Any, cast

from runlore.storage.as_of_times import NEVER_SETTLED
from runlore.storage.event_log import DrainedMark
from runlore.storage.fence import FENCED, Fence
from runlore.storage.movable_log import Beside
from runlore.storage.sqlite_queries import (
    fence_of,
    has_drained,
    head_of,
    raise_version,
    version_of,
)
from runlore.storage.sqlite_schema import FENCE_SCHEMA, FENCED_VERSION
from runlore.storage.sqlite_times import settle_until, settled_until


def put_up(connection: sqlite3.Connection, fence: Fence) -> None:
    """Fence the log."""
    for statement in FENCE_SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT OR REPLACE INTO fence VALUES (1, ?, ?, ?)", fence)
    raise_version(connection, FENCED)


def take_down(connection: sqlite3.Connection, beside: Beside) -> None:
    """Remove the fence, and keep what the original has beside its events."""
    connection.executemany(
        "INSERT OR REPLACE INTO drained VALUES (?, ?, ?, ?)",
        [(writer_id, *mark) for writer_id, mark in beside.drained.items()],
    )
    if beside.settled_until != NEVER_SETTLED:
        settle_until(connection, beside.settled_until)
    connection.execute(
        "UPDATE log_head SET recorded_at = max(recorded_at, ?)", (beside.recorded_at,)
    )
    connection.execute("DROP TABLE fence")
    # The fence has given the head the column of version 2.
    connection.execute(f"PRAGMA user_version={max(beside.version, FENCED_VERSION):d}")


def beside_of(connection: sqlite3.Connection) -> Beside:
    """What the log has beside its events."""
    fence = fence_of(connection)
    marks: list[tuple[Any, ...]] = []
    if has_drained(connection):
        marks = connection.execute("SELECT writer_id, lap, slot, position FROM drained").fetchall()
    return Beside(
        head_of(connection).recorded_at,
        version_of(connection) if fence is None else fence.version,
        settled_until(connection),
        {cast(str, writer_id): DrainedMark(*mark) for writer_id, *mark in marks},
    )
