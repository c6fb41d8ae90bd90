"""A log in SQLite as its verification reads it: the table, and the indexes of its reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from runlore.domain.events import RunErased
from runlore.domain.ids import RUNS, run_stream
from runlore.storage.as_of_times import NEVER_SETTLED
from runlore.storage.database import Database
from runlore.storage.errors import LogCorrupt
from runlore.storage.log_scan import Beginning, IndexScan, KeyScan, LogScan, Row, Times
from runlore.storage.log_select import check_order
from runlore.storage.seal import NO_KEY
from runlore.storage.sqlite_keys import is_erasable, keys_of
from runlore.storage.sqlite_queries import (
    COLUMNS,
    fence_of,
    has_drained,
    head_of,
    version_of,
)
from runlore.storage.sqlite_schema import (
    EVENTS_SCHEMA,
    FENCED_VERSION,
    KEYS_SCHEMA,
    TIMES_SCHEMA,
    fenced,
    plain,
    statements_by_name,
)
from runlore.storage.sqlite_times import has_times, settled_until, steps_of

_STREAM_INDEX: Final = "sqlite_autoindex_stored_events_1"
_TIME_INDEX: Final = "stored_events_recorded_at"
_STRAYS: Final = 100
_HARMLESS: Final = ("CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE INDEX ")
_SELECT_STRAYS: Final = (
    f"SELECT {COLUMNS} FROM stored_events WHERE notification_id > ? "
    f"UNION ALL SELECT {COLUMNS} FROM stored_events WHERE notification_id < 1 LIMIT ?"
)
# Entries that lead to no row are counted by reads that need only the index. Where the head already
# covers their positions, they may be of writers that went on.
_UPTO_OR_NOWHERE: Final = (
    "(notification_id BETWEEN 1 AND ? OR ("
    "NOT notification_id BETWEEN 1 AND (SELECT position FROM log_head) AND NOT EXISTS "
    "(SELECT 1 FROM stored_events AS there WHERE there.notification_id = "
    "stored_events.notification_id)))"
)
_OF_ERASURE: Final = f"topic = '{RunErased.topic}' AND event.notification_id = noted.position"
_SELECT_ERASURE: Final = (
    "SELECT noted.position FROM stored_events AS event "
    f"LEFT JOIN erasures AS noted ON {_OF_ERASURE} "
    f"WHERE event.originator_id = ? AND event.topic = '{RunErased.topic}'"
)
_SELECT_ERASURES_OF_NOTHING: Final = (
    "SELECT noted.position, noted.run_id FROM erasures AS noted WHERE NOT EXISTS "
    f"(SELECT 1 FROM stored_events AS event WHERE {_OF_ERASURE} "
    f"AND event.originator_id = '{RUNS}' || noted.run_id) LIMIT ?"
)


class SqliteScan(LogScan, IndexScan, KeyScan):
    """The scan of a SQLite file: of its table, and of the indexes that reads go through."""

    def __init__(self, database: Database) -> None:
        self.indexes = self
        self._database = database

    def begin(self) -> Beginning:
        with self._database.read() as connection:
            connection.execute("BEGIN")
            try:
                head = head_of(connection)
                marks = []
                if has_drained(connection):
                    marks = connection.execute("SELECT writer_id, position FROM drained").fetchall()
                altered = _altered(connection)
                keyed = is_erasable(connection) and not {"run_keys", "erasures"} & {*altered}
                is_moved = fence_of(connection) is not None  # Then keys are in another place.
                keys = self if keyed and not is_moved else None
                version = None if is_erasable(connection) else version_of(connection)
                found = marks, altered
                times = _times(connection)
                try:
                    strays = connection.execute(_SELECT_STRAYS, (head.position, _STRAYS)).fetchall()
                except sqlite3.DatabaseError as error:
                    return Beginning(head, (), *found, str(error), keys, times, version)
                return Beginning(head, strays, *found, None, keys, times, version)
            finally:
                connection.execute("ROLLBACK")

    def rows(self, after: int, upto: int, limit: int) -> Sequence[Row]:
        def fetch() -> list[Row]:
            found = connection.execute(
                f"SELECT {COLUMNS} FROM stored_events "
                "WHERE notification_id > ? AND notification_id <= ? "
                "ORDER BY notification_id LIMIT ?",
                (after, upto, limit),
            ).fetchall()
            check_order([row[0] for row in found], after)
            return found

        with self._database.read() as connection:
            try:
                return fetch()
            except sqlite3.OperationalError:
                # Text that is no UTF-8 should not hide the rows beside it, nor its own columns.
                connection.text_factory = _any_text
                try:
                    return fetch()
                finally:
                    connection.text_factory = str

    def count_reached(self, after: int, upto: int) -> int:
        with self._database.read() as connection:
            # Downwards: SQLite then goes from the tree's root to each row, as a read of one does,
            # and does not just take the next one. LIMIT -1: else it would drop the order.
            row = connection.execute(
                "SELECT count(*) FROM (SELECT notification_id AS place FROM stored_events "
                "WHERE notification_id > ? AND notification_id <= ? "
                "ORDER BY notification_id DESC LIMIT -1) "
                "CROSS JOIN stored_events ON notification_id = place",
                (after, upto),
            ).fetchone()
        count: int = row[0]
        return count

    def by_stream(self, after: Row, upto_position: int, limit: int) -> Sequence[Row]:
        with self._database.read() as connection:
            return connection.execute(
                "SELECT originator_id, originator_version, notification_id "
                f"FROM stored_events INDEXED BY {_STREAM_INDEX} "
                "WHERE (originator_id, originator_version) > (?, ?) "
                f"AND {_UPTO_OR_NOWHERE} "
                "ORDER BY originator_id, originator_version LIMIT ?",
                (*after[:2], upto_position, limit),
            ).fetchall()

    def by_time(self, after: Row, upto_position: int, limit: int) -> Sequence[Row]:
        recorded_at, position = after
        with self._database.read() as connection:
            # Two ranges: one comparison of pairs would walk again over all of a large commit.
            found = connection.execute(
                f"SELECT recorded_at, notification_id FROM stored_events INDEXED BY {_TIME_INDEX} "
                f"WHERE recorded_at = ? AND notification_id > ? AND {_UPTO_OR_NOWHERE} "
                "ORDER BY notification_id LIMIT ?",
                (recorded_at, position, upto_position, limit),
            ).fetchall()
            if len(found) < limit:
                found += connection.execute(
                    "SELECT recorded_at, notification_id "
                    f"FROM stored_events INDEXED BY {_TIME_INDEX} "
                    f"WHERE recorded_at > ? AND {_UPTO_OR_NOWHERE} "
                    "ORDER BY recorded_at, notification_id LIMIT ?",
                    (recorded_at, upto_position, limit - len(found)),
                ).fetchall()
            return found

    def places_in_stream_index(self, stream: str, version: int) -> Sequence[Any]:
        with self._database.read() as connection:
            return _flat(
                connection.execute(
                    f"SELECT notification_id FROM stored_events INDEXED BY {_STREAM_INDEX} "
                    "WHERE originator_id = ? AND originator_version = ?",
                    (stream, version),
                )
            )

    def places_in_time_index(self, recorded_at: int, position: int) -> Sequence[Any]:
        with self._database.read() as connection:
            return _flat(
                connection.execute(
                    f"SELECT notification_id FROM stored_events INDEXED BY {_TIME_INDEX} "
                    "WHERE recorded_at = ? AND notification_id = ?",
                    (recorded_at, position),
                )
            )

    def keys_of(self, runs: Sequence[str]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        erased: dict[str, Any] = {}
        with self._database.read() as connection:
            connection.execute("BEGIN")
            try:
                keys = keys_of(connection, runs)
                for run_id in runs:
                    if keys.get(run_id) == NO_KEY:
                        found = connection.execute(_SELECT_ERASURE, (run_stream(run_id),))
                        erased.update((run_id, position) for (position,) in found)
                return keys, erased
            finally:
                connection.execute("ROLLBACK")

    def erasures_of_nothing(self) -> Sequence[Row]:
        with self._database.read() as connection:
            return connection.execute(_SELECT_ERASURES_OF_NOTHING, (_STRAYS,)).fetchall()


def _times(connection: sqlite3.Connection) -> Times | str:
    try:
        until = settled_until(connection) if has_times(connection) else NEVER_SETTLED
        return Times(steps_of(connection), until)
    except (sqlite3.DatabaseError, LogCorrupt, UnicodeDecodeError) as error:
        return str(error)


def _any_text(text: bytes) -> str:
    return text.decode(errors="surrogateescape")


def _flat(cursor: sqlite3.Cursor) -> list[Any]:
    return [value for (value,) in cursor]


def _altered(connection: sqlite3.Connection) -> list[str]:
    """What of the log is gone or defined otherwise; also triggers, views, and others' indexes.

    Reads could go through an index that somebody added to a table, whatever its entries say.
    """
    # By the statement, which SQLite goes by: the other columns may say anything.
    there = {
        name: plain(sql)
        for name, sql in connection.execute("SELECT name, sql FROM sqlite_schema")
        if sql
    }
    statements = [*EVENTS_SCHEMA]
    if there.keys() & {"run_keys", "erasures"}:
        statements += KEYS_SCHEMA
    if there.keys() & {"as_of_steps", "settled"}:
        statements += TIMES_SCHEMA
    expected = statements_by_name(statements)
    altered = [name for name, sql in there.items() if not sql.startswith(_HARMLESS)]
    if version_of(connection) >= FENCED_VERSION:
        expected["log_head"] = fenced(expected["log_head"])
    for name, sql in expected.items():
        # Logs of before the spools have no table of what was drained.
        if there.get(name, sql if name == "drained" else None) != sql:
            altered.append(name)
        indexes = connection.execute(
            "SELECT name FROM pragma_index_list(?) WHERE origin = 'c'", (name,)
        )
        altered += [index for (index,) in indexes if index not in expected]
    return altered
