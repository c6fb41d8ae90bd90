"""Whether a log's file and the WAL beside it belong together.

A WAL does not say of which database it is. SQLite reads any that lies beside a file, and mixes the
two: where a log was replaced by another one, or by an older copy of itself, and a killed process
had left a WAL there.

So before the log is opened, its head is read twice: as the file has it, without the WAL, and as
SQLite reads both. The WAL is the file's own if the events that it adds lead from the one head to
the other. It holds a few megabytes at most, and that many events are read.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Final

from runlore.storage.errors import LogCorrupt, NotALog
from runlore.storage.log_file import LogFile
from runlore.storage.log_head import LogHead
from runlore.storage.sqlite_queries import has_log, head_of

_TRIES: Final = 3
_PAUSE_S: Final = 0.05
_NOT_OF_CONTENT: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
_TAIL: Final = "FROM stored_events AS e WHERE e.notification_id > ? "
_IN_INDEXES: Final = f"""
SELECT count(*) {_TAIL}
AND EXISTS (
    SELECT 1 FROM stored_events AS s INDEXED BY sqlite_autoindex_stored_events_1
    WHERE s.originator_id = e.originator_id AND s.originator_version = e.originator_version
    AND s.notification_id = e.notification_id
)
AND EXISTS (
    SELECT 1 FROM stored_events AS t INDEXED BY stored_events_recorded_at
    WHERE t.recorded_at = e.recorded_at AND t.notification_id = e.notification_id
)
"""


class ForeignWal(LogCorrupt):
    """The WAL beside a log is not its own; nothing was read or written."""

    def __init__(self, file: LogFile, position: int) -> None:
        wal = file.beside("-wal")
        super().__init__(
            f"{wal} does not belong to {file.path}: it was left there by another log, or by a "
            f"later state of this one, before the file was replaced; nothing was read or written. "
            f"If the file is the log that you want, up to position {position}, move {wal.name} and "
            f"{file.beside('-shm').name} out of the folder; if you restored it from a copy that "
            "had a file of that name, restore this one, too"
        )
        self.position = position


def check(file: LogFile, uri: str, connected: Callable[[str], sqlite3.Connection]) -> None:
    """Raise ForeignWal if the WAL beside a log is not its own.

    `connected` opens a guarded connection to a URI. This process must have no other one: to close
    one that takes no locks drops those of others.
    """
    tries = 0
    while (alone := _head_alone(uri, connected)) is not None:
        if _leads_on(alone, uri, connected):
            return
        tries += 1
        if tries == _TRIES:
            raise ForeignWal(file, alone.position)
        time.sleep(_PAUSE_S)  # A process that lives may be writing the WAL back.


def _head_alone(uri: str, connected: Callable[[str], sqlite3.Connection]) -> LogHead | None:
    """The head in the file itself; None if it cannot be read.

    A process that was killed while it wrote the WAL back leaves parts of both states in the file,
    which the WAL mends. The head is a single row.
    """
    try:
        with closing(connected(f"{uri}?mode=ro&immutable=1")) as connection:
            return head_of(connection) if has_log(connection) else LogHead()
    except (sqlite3.Error, LogCorrupt, NotALog) as error:
        _raise_unless_damaged(error)
        return None


def _leads_on(head: LogHead, uri: str, connected: Callable[[str], sqlite3.Connection]) -> bool:
    """Whether the events after a head of the file lead to the head of file and WAL together."""
    try:
        # One that may not write does not write the WAL back when it is closed.
        with closing(connected(f"{uri}?mode=ro")) as connection:
            connection.execute("BEGIN")
            if not has_log(connection):
                return head.position == 0
            leaves = connection.execute(
                f"SELECT e.leaf {_TAIL} ORDER BY e.notification_id", (head.position,)
            ).fetchall()
            (indexed,) = connection.execute(_IN_INDEXES, (head.position,)).fetchone()
            whole = head_of(connection)
    except (sqlite3.Error, LogCorrupt, NotALog) as error:
        _raise_unless_damaged(error)
        return False
    return (
        len(leaves) == indexed == whole.position - head.position
        and head.frontier.extended(leaf for (leaf,) in leaves) == whole.frontier
    )


def _raise_unless_damaged(error: Exception) -> None:
    """Raise an error that says nothing of what is in the files."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    is_read = code == sqlite3.SQLITE_IOERR_SHORT_READ
    if code & 0xFF in _NOT_OF_CONTENT or (code & 0xFF == sqlite3.SQLITE_IOERR and not is_read):
        raise error
