"""Opening a log in a SQLite file, of one of two kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runlore.storage.clock import Clock, now_us
from runlore.storage.database import Database
from runlore.storage.erasable import ErasableLog
from runlore.storage.held_path import HeldPath
from runlore.storage.sqlite_keys import is_erasable
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.sqlite_queries import has_drained, has_log
from runlore.storage.sqlite_schema import KEYS_SCHEMA


def open_sqlite(
    path: str | Path | HeldPath, *, erasable: bool = False, clock: Clock = now_us, **options: Any
) -> SqliteLog:
    """The log in this file, created if it does not exist; `options` are `Database`'s.

    `erasable` chooses the kind of a new log; an existing one keeps its kind.
    """
    log = SqliteLog(Database(path, private=erasable, **options), clock=clock)
    database = log.database
    with database.read() as connection:
        complete = has_drained(connection)  # The last of the tables, and the youngest.
        exists = has_log(connection)
    if not complete and not (exists and database.read_only):
        with database.write() as connection:
            if erasable and not has_log(connection):  # Another process may have been faster.
                for statement in KEYS_SCHEMA:
                    connection.execute(statement)
            for statement in log.schema:
                connection.execute(statement)
    with database.read() as connection:
        has_keys = is_erasable(connection)
    return ErasableLog(database, clock=clock) if has_keys else log
