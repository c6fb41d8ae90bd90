"""A log as its verification reads it: in short pieces, past everything that a reader is spared.

Each call is a read transaction of its own, and a short one: no writer waits for it, and the WAL
can be checkpointed in between. What is read lies at or before a head that was read first, so
writers that go on meanwhile change nothing of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from runlore.domain.events import RunErased
from runlore.domain.ids import RUNS, run_stream
from runlore.storage.erasable import KEYS_SCHEMA, is_erasable, keys_of
from runlore.storage.event_log import EventLog, LogHead
from runlore.storage.log_query import LogQuery
from runlore.storage.seal import NO_KEY
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.sqlite_queries import COLUMNS, EVENTS_SCHEMA, has_drained, head_of

Row = tuple[Any, ...]
"""A `StoredRow` or an index's entry as a plain tuple; a damaged file may hold any types."""

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


class Beginning(NamedTuple):
    """What is read of a log before its rows, in one snapshot.

    `strays` are rows at positions that the head does not cover; where they cannot be read,
    `unreadable` says why. `marks` are the positions that `drained_marks` gives, `altered` the
    names of tables and indexes that are not as runlore makes them. `keyed` is whether payloads are
    sealed and the tables of their keys can be read.
    """

    head: LogHead
    strays: Sequence[Row] = ()
    marks: Sequence[tuple[str, int]] = ()
    altered: Sequence[str] = ()
    unreadable: str | None = None
    keyed: bool = False


class LogScan:
    """The scan of any log, by its own reads: rows only, as there is no file to look into."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def begin(self) -> Beginning:
        """The head, and what contradicts it at once."""
        return Beginning(self._log.head())

    def rows(self, after: int, upto: int, limit: int) -> Sequence[Row]:
        """At most `limit` rows at positions in (after, upto], in their order."""
        return self._log.read_log(LogQuery(after_position=after, upto_position=upto, limit=limit))

    def count_reached(self, after: int, upto: int) -> int:
        """How many positions in (after, upto] are found when they are asked for one by one."""
        return len(self.rows(after, upto, upto - after))


class SqliteScan(LogScan):
    """The scan of a SQLite file: of its table, and of the indexes that reads go through."""

    def __init__(self, log: SqliteLog) -> None:
        super().__init__(log)
        self._database = log.database

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
                try:
                    strays = connection.execute(_SELECT_STRAYS, (head.position, _STRAYS)).fetchall()
                except sqlite3.DatabaseError as error:
                    return Beginning(head, (), marks, altered, str(error), keyed)
                return Beginning(head, strays, marks, altered, keyed=keyed)
            finally:
                connection.execute("ROLLBACK")

    def rows(self, after: int, upto: int, limit: int) -> Sequence[Row]:
        def fetch() -> list[Row]:
            return connection.execute(
                f"SELECT {COLUMNS} FROM stored_events "
                "WHERE notification_id > ? AND notification_id <= ? "
                "ORDER BY notification_id LIMIT ?",
                (after, upto, limit),
            ).fetchall()

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
        """(stream, version, position) of the stream index, in its order, behind an entry."""
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
        """(recorded_at, position) of the index of times, in its order, behind an entry."""
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
        """The positions to which the stream index leads for an event."""
        with self._database.read() as connection:
            return _flat(
                connection.execute(
                    f"SELECT notification_id FROM stored_events INDEXED BY {_STREAM_INDEX} "
                    "WHERE originator_id = ? AND originator_version = ?",
                    (stream, version),
                )
            )

    def places_in_time_index(self, recorded_at: int, position: int) -> Sequence[Any]:
        """The position again, if the index of times has it at this time."""
        with self._database.read() as connection:
            return _flat(
                connection.execute(
                    f"SELECT notification_id FROM stored_events INDEXED BY {_TIME_INDEX} "
                    "WHERE recorded_at = ? AND notification_id = ?",
                    (recorded_at, position),
                )
            )

    def keys_of(self, runs: Sequence[str]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The keys of those of the runs that have one; where which of them are noted as erased.

        None where an event says that a run was erased, and nothing else does.
        """
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
        """(position, run) of noted erasures that no event is of; not all if there are many."""
        with self._database.read() as connection:
            return connection.execute(_SELECT_ERASURES_OF_NOTHING, (_STRAYS,)).fetchall()


def scan_of(log: EventLog) -> LogScan:
    """The scan that sees most of this log."""
    return SqliteScan(log) if isinstance(log, SqliteLog) else LogScan(log)


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
        name: _plain(sql)
        for name, sql in connection.execute("SELECT name, sql FROM sqlite_schema")
        if sql
    }
    statements = [*EVENTS_SCHEMA]
    if there.keys() & {"run_keys", "erasures"}:
        statements += KEYS_SCHEMA
    made = [_plain(one).replace(" IF NOT EXISTS ", " ") for one in statements]
    expected = {one.split(" ")[2]: one for one in made if one.startswith("CREATE ")}
    altered = [name for name, sql in there.items() if not sql.startswith(_HARMLESS)]
    for name, sql in expected.items():
        # Logs of before the spools have no table of what was drained.
        if there.get(name, sql if name == "drained" else None) != sql:
            altered.append(name)
        indexes = connection.execute(
            "SELECT name FROM pragma_index_list(?) WHERE origin = 'c'", (name,)
        )
        altered += [index for (index,) in indexes if index not in expected]
    return altered


def _plain(sql: str) -> str:
    return " ".join(sql.split())
