"""SQL over the tables of a log in SQLite, on an open connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgpack

from runlore.domain.events import RunCreated
from runlore.storage.errors import LogCorrupt
from runlore.storage.fence import FENCED, Fence
from runlore.storage.log_head import LogHead
from runlore.storage.log_select import LogTable
from runlore.storage.merkle import Frontier
from runlore.storage.sqlite_schema import FENCE, FENCED_VERSION

PLAIN_COLUMNS: Final = (
    "notification_id, originator_id, originator_version, topic, state, "
    "event_id, recorded_at, metadata"
)
COLUMNS: Final = f"{PLAIN_COLUMNS}, leaf"
SELECT: Final = f"SELECT {COLUMNS} FROM stored_events "
LOG: Final = LogTable("stored_events", placeholder="?", no_limit=-1)
INSERT: Final = f"INSERT INTO stored_events ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def version_of(connection: sqlite3.Connection) -> int:
    """The version of the log in the file; 0 if it is not set yet."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def has_log(connection: sqlite3.Connection) -> bool:
    """Whether the file holds a log, even an incomplete one."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'log_head'").fetchone()
    return found is not None


def has_drained(connection: sqlite3.Connection) -> bool:
    """Whether the log was made by a runlore that spools values; older logs lack the table."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'drained'").fetchone()
    return found is not None


def head_of(connection: sqlite3.Connection) -> LogHead:
    """The log's head. Raises LogCorrupt if it is missing or damaged."""
    row = connection.execute(
        "SELECT size, position, recorded_at, frontier FROM log_head"
    ).fetchone()
    if row is None:
        raise LogCorrupt("the log has lost its head (table log_head is empty); restore a copy")
    size, position, recorded_at, nodes = row
    try:
        if not (type(size) is type(position) is type(recorded_at) is int):
            raise ValueError(f"{row[:3]} are not whole numbers")
        return LogHead(position, recorded_at, Frontier.from_bytes(size, nodes))
    except (TypeError, ValueError) as error:
        raise LogCorrupt(f"the log's head is damaged: {error}; restore a copy") from error


def fence_of(connection: sqlite3.Connection) -> Fence | None:
    """The log's fence, or None."""
    if version_of(connection) != FENCED:
        return None
    row = connection.execute("SELECT kind, place, version FROM fence").fetchone()
    return None if row is None else Fence(*row)


def raise_version(connection: sqlite3.Connection, version: int) -> None:
    """Give the log a greater version, in the caller's transaction."""
    if version_of(connection) < FENCED_VERSION <= version:
        connection.execute(f"ALTER TABLE log_head ADD COLUMN {FENCE}")
    connection.execute(f"PRAGMA user_version={version:d}")


def move_head(connection: sqlite3.Connection, head: LogHead, version: int) -> None:
    """Write the head of a log of this version."""
    fence = ", fence = ?2" if version >= FENCED_VERSION else ""
    connection.execute(
        f"UPDATE log_head SET size = ?1, position = ?2, recorded_at = ?3, frontier = ?4{fence}",
        (head.size, head.position, head.recorded_at, head.frontier.to_bytes()),
    )


def fetched(
    connection: sqlite3.Connection, statement: str, params: Sequence[int | str | None]
) -> list[tuple[Any, ...]]:
    """All rows of a query. Text that is damaged, and so is not UTF-8 any more, is bytes."""
    try:
        return connection.execute(statement, params).fetchall()
    except UnicodeDecodeError:  # From the driver's message, which quotes the damaged text.
        pass
    except sqlite3.OperationalError as error:
        if "decode to UTF-8" not in str(error):
            raise
    connection.text_factory = _text_or_bytes
    try:
        return connection.execute(statement, params).fetchall()
    finally:
        connection.text_factory = str


def _text_or_bytes(text: bytes) -> str | bytes:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text


def count_created(connection: sqlite3.Connection, experiment_id: str, upto_position: int) -> int:
    """The number of runs that were created in an experiment, up to and including a position.

    It reads the rows in their order, and decodes no state: 0.3 µs an event instead of 5. In a state
    the experiment follows the run's id, which cannot hold the name of the next field; a tag of that
    name comes later.
    """
    field = msgpack.packb("experiment_id")
    statement = (
        "SELECT count(*) FROM stored_events WHERE notification_id <= ? AND topic = ? "
        "AND instr(state, ?) > 0 AND instr(state, ?) = instr(state, ?)"
    )
    pair = field + msgpack.packb(experiment_id)
    params = (upto_position, RunCreated.topic, pair, pair, field)
    count: int = connection.execute(statement, params).fetchone()[0]
    return count


def rows_of_stream(
    connection: sqlite3.Connection,
    stream: str,
    after_version: int = 0,
    upto_position: int | None = None,
) -> list[tuple[Any, ...]]:
    """The rows of a stream, by increasing version."""
    statement = SELECT + "WHERE originator_id = ? AND originator_version > ? "
    params: list[str | int] = [stream, after_version]
    if upto_position is not None:
        statement += "AND notification_id <= ? "
        params.append(upto_position)
    return fetched(connection, statement + "ORDER BY originator_version", params)
