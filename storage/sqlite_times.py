"""The tables by which a log in SQLite answers as of a time where clocks disagree.

They are made by the first event that counts earlier than it was recorded, or the first time that is
settled, so most logs have none. See `runlore.storage.as_of_times` for what they hold.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from runlore.storage.as_of_times import NEVER_SETTLED, Steps
from runlore.storage.errors import LogCorrupt
from runlore.storage.sqlite_schema import TIMES_SCHEMA

# A runlore without these tables settled a time by moving the head's time alone.
_SETTLED_BEFORE: Final = """
    SELECT recorded_at - 1 FROM log_head WHERE recorded_at > (
        SELECT ifnull(max(recorded_at), 0) FROM stored_events WHERE notification_id = position
    )
"""


def has_times(connection: sqlite3.Connection) -> bool:
    """Whether the log has the tables of this module."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'settled'").fetchone()
    return found is not None


def settled_until(connection: sqlite3.Connection) -> int:
    """The latest time that was settled; `NEVER_SETTLED` if none was."""
    statement = "SELECT until FROM settled" if has_times(connection) else _SETTLED_BEFORE
    return _whole(connection.execute(statement).fetchone(), NEVER_SETTLED)


def keep_settled(connection: sqlite3.Connection) -> bool:
    """Keep what a runlore without these tables settled, before an event moves the head's time.

    Returns whether there was nothing to do, and will not be.
    """
    if has_times(connection) or settled_until(connection) == NEVER_SETTLED:
        return True
    _make_tables(connection)
    return False


def settle_until(connection: sqlite3.Connection, time: int) -> None:
    """Settle a time, unless a later one was."""
    _make_tables(connection)
    connection.execute("UPDATE settled SET until = max(until, ?)", (time,))
    connection.execute("UPDATE log_head SET recorded_at = max(recorded_at, ?)", (time + 1,))


def add_step(connection: sqlite3.Connection, as_of: int, position: int) -> None:
    """Note that the log up to this position counts from `as_of` on, earlier than recorded."""
    _make_tables(connection)
    connection.execute("DELETE FROM as_of_steps WHERE as_of >= ?", (as_of,))
    connection.execute("INSERT INTO as_of_steps VALUES (?, ?)", (as_of, position))


def last_step(connection: sqlite3.Connection, time: int) -> int:
    """The position of the last step at or before a time; 0 if there is none."""
    if not has_times(connection):
        return 0
    return _whole(
        connection.execute(
            "SELECT position FROM as_of_steps WHERE as_of <= ? ORDER BY as_of DESC LIMIT 1", (time,)
        ).fetchone()
    )


def steps_of(connection: sqlite3.Connection) -> Steps:
    """All steps, as reads see them. Raises LogCorrupt if the table is damaged."""
    steps = Steps()
    last = (-1, 0)
    if has_times(connection):
        for row in connection.execute("SELECT position, as_of FROM as_of_steps ORDER BY as_of"):
            position, as_of = _whole(row), row[1]
            if as_of <= last[0] or position <= last[1]:  # Pages of a damaged file may form a ring.
                raise LogCorrupt(f"the step at {as_of} µs after 1970 is out of order")
            steps.add(as_of, position)
            last = as_of, position
    return steps


def _whole(row: tuple[Any, ...] | None, default: int = 0) -> int:
    """The number in a row, or the default if there is no row. SQLite lets any column hold text."""
    number = row[0] if row else default
    if type(number) is not int:
        raise LogCorrupt(f"the log's times hold {number!r:.80}; run `runlore audit verify`")
    return number


def _make_tables(connection: sqlite3.Connection) -> None:
    if not has_times(connection):
        until = settled_until(connection)
        for statement in TIMES_SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT INTO settled VALUES (1, ?)", (until,))
