"""The log in a SQLite file, and the `eventsourcing` persistence module around it.

Any application of the library runs on it with `PERSISTENCE_MODULE=runlore.storage.sqlite` and
`SQLITE_DBNAME=<file>`; `SQLITE_LOCK_TIMEOUT` (whole seconds, default 60), `ORIGINATOR_ID_TYPE`
(`uuid` or `text`) and `CREATE_TABLE` are honoured as by the library's own module. Why not that
one: its positions are reused after a deletion, its plain BEGIN cannot read before it writes, it
has no `subscribe()` and does not survive a fork.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from eventsourcing.persistence import (
    AggregateRecorder,
    InfrastructureFactory,
    IntegrityError,
    Notification,
    ProcessRecorder,
    StoredEvent,
    Subscription,
    Tracking,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType, resolve_topic, strtobool

from runlore.storage.database import Database
from runlore.storage.errors import LogCorrupt, VersionConflict
from runlore.storage.event_log import (
    Drained,
    DrainedMark,
    EventLog,
    LogHead,
    NewEvent,
    ReadStream,
    RecordedNotification,
    StoredRow,
)
from runlore.storage.merkle import Frontier
from runlore.storage.stamp import check_passed, stamp, stamp_foreign
from runlore.storage.subscription import PollingSubscription, Waker

Clock = Callable[[], int]

_EVENTS_SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS stored_events (
        notification_id INTEGER PRIMARY KEY AUTOINCREMENT,
        originator_id TEXT NOT NULL,
        originator_version INTEGER NOT NULL,
        topic TEXT NOT NULL,
        state BLOB NOT NULL,
        event_id BLOB,
        recorded_at INTEGER NOT NULL,
        metadata BLOB,
        leaf BLOB NOT NULL,
        UNIQUE (originator_id, originator_version)
    )
    """,
    "CREATE INDEX IF NOT EXISTS stored_events_recorded_at ON stored_events (recorded_at)",
    """
    CREATE TABLE IF NOT EXISTS log_head (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        size INTEGER NOT NULL,
        position INTEGER NOT NULL,
        recorded_at INTEGER NOT NULL,
        frontier BLOB NOT NULL
    )
    """,
    "INSERT OR IGNORE INTO log_head VALUES (1, 0, 0, 0, x'')",
    # Beside the log, not of it: up to where the spools of values were written to it.
    """
    CREATE TABLE IF NOT EXISTS drained (
        writer_id TEXT PRIMARY KEY,
        lap INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        position INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
)

_TRACKING_SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS tracking (
        application_name TEXT PRIMARY KEY,
        notification_id INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
)

_PLAIN_COLUMNS: Final = (
    "notification_id, originator_id, originator_version, topic, state, "
    "event_id, recorded_at, metadata"
)
_COLUMNS: Final = f"{_PLAIN_COLUMNS}, leaf"
_SELECT: Final = f"SELECT {_COLUMNS} FROM stored_events "
_INSERT: Final = f"INSERT INTO stored_events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def now_us() -> int:
    """The wall clock in microseconds since 1970 UTC."""
    return time.time_ns() // 1_000


def _text(originator_id: UUID | str) -> str:
    return originator_id.hex if isinstance(originator_id, UUID) else originator_id


class SqliteRecorder:
    """What our recorders share: a database, and how originator ids are shown to the library."""

    schema: tuple[str, ...] = ()

    def __init__(self, database: Database, *, uuid_ids: bool = False, clock: Clock = now_us):
        self.database = database
        self._uuid_ids = uuid_ids
        self._clock = clock

    def create_table(self) -> None:
        """Creates the recorder's tables, if they are not there yet."""
        self.database.add_schema(self.schema)

    def close(self) -> None:
        """Closes the database; the next use opens it again."""
        self.database.close()

    def _id(self, text: str) -> UUID | str:
        return UUID(text) if self._uuid_ids else text


_R = TypeVar("_R", bound=SqliteRecorder)


class SqliteLog(SqliteRecorder, EventLog):
    """`EventLog` in a SQLite file: every commit is synced to disk before the call returns."""

    schema: tuple[str, ...] = _EVENTS_SCHEMA

    # --- EventLog ---------------------------------------------------------------------

    def append(
        self, events: Sequence[NewEvent], *, drained: Drained | None = None
    ) -> tuple[StoredRow, ...]:
        return self.append_decided(lambda read_stream: events, drained=drained)

    def append_decided(
        self,
        decide: Callable[[ReadStream], Sequence[NewEvent]],
        *,
        drained: Drained | None = None,
    ) -> tuple[StoredRow, ...]:
        events: Sequence[NewEvent] = ()
        try:
            with self._appending() as connection:
                events = decide(lambda stream: self._stream(connection, stream))
                return self._store(connection, events, drained)
        except VersionConflict:
            stored = self._find(events)
            if not stored:
                raise
            return stored

    def drained_marks(self) -> Mapping[str, DrainedMark]:
        with self.database.read() as connection:
            if not _has_drained(connection):
                return {}
            rows = connection.execute("SELECT writer_id, lap, slot, position FROM drained")
            return {writer_id: DrainedMark(*mark) for writer_id, *mark in rows}

    def read_stream(
        self, stream: str, *, after_version: int = 0, upto_position: int | None = None
    ) -> Sequence[StoredRow]:
        with self.database.read() as connection:
            return self._stream(connection, stream, after_version, upto_position)

    def read_streams(
        self, prefix: str, *, upto_position: int | None = None, topics: Sequence[str] = ()
    ) -> Sequence[StoredRow]:
        beyond = _beyond(prefix)
        statement = _SELECT + "WHERE originator_id >= ? AND originator_id < ? "
        params: list[str | int] = [prefix, beyond]
        if topics:
            statement += f"AND topic IN ({', '.join('?' * len(topics))}) "
            params.extend(topics)
        if upto_position is not None:
            statement += "AND notification_id <= ? "
            params.append(upto_position)
        with self.database.read() as connection:
            rows = connection.execute(statement, params)
            return sorted(StoredRow(*row) for row in self._opened(connection, rows))

    def count_events(self, prefix: str, *, upto_position: int | None = None) -> int:
        # From the index alone.
        statement = "SELECT count(*) FROM stored_events WHERE originator_id >= ? "
        statement += "AND originator_id < ? "
        params: list[str | int] = [prefix, _beyond(prefix)]
        if upto_position is not None:
            statement += "AND notification_id <= ? "
            params.append(upto_position)
        with self.database.read() as connection:
            row = connection.execute(statement, params).fetchone()
        count: int = row[0]
        return count

    def read_log(
        self,
        *,
        after_position: int = 0,
        limit: int,
        upto_position: int | None = None,
        stream: str | None = None,
        topics: Sequence[str] = (),
    ) -> Sequence[StoredRow]:
        wanted = _Wanted(after_position, limit, upto_position, stream, topics)
        with self.database.read() as connection:
            rows = _read_log(connection, _COLUMNS, wanted)
            return [StoredRow(*row) for row in self._opened(connection, rows)]

    def read_plain(
        self,
        *,
        after_position: int = 0,
        limit: int,
        upto_position: int | None = None,
        stream: str | None = None,
        topics: Sequence[str] = (),
    ) -> Sequence[tuple[Any, ...]]:
        wanted = _Wanted(after_position, limit, upto_position, stream, topics)
        with self.database.read() as connection:
            rows = _read_log(connection, _PLAIN_COLUMNS, wanted)
            return list(self._opened(connection, rows))

    def read_leaves(self, *, after_position: int = 0, limit: int) -> Sequence[bytes]:
        with self.database.read() as connection:
            rows = connection.execute(
                "SELECT leaf FROM stored_events WHERE notification_id > ? "
                "ORDER BY notification_id LIMIT ?",
                (after_position, limit),
            )
            return [leaf for (leaf,) in rows]

    def head(self) -> LogHead:
        with self.database.read() as connection:
            return _head(connection)

    def synced_head(self) -> LogHead:
        head = self.head()
        self.database.sync()
        return head

    def position_at(self, recorded_at: int) -> int:
        with self.database.read() as connection:
            row = connection.execute(
                "SELECT notification_id FROM stored_events WHERE recorded_at <= ? "
                "ORDER BY recorded_at DESC, notification_id DESC LIMIT 1",
                (recorded_at,),
            ).fetchone()
        return row[0] if row else 0

    def settle(self, recorded_at: int) -> None:
        if self.head().recorded_at > recorded_at:
            return
        check_passed(recorded_at, self._clock())
        with self.database.write() as connection:
            connection.execute(
                "UPDATE log_head SET recorded_at = max(recorded_at, ?)", (recorded_at + 1,)
            )

    # --- the library's ApplicationRecorder ----------------------------------------------

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """Stores another application's events: without ids and metadata, but with leaves."""
        with self._appending() as connection:
            head = _head(connection)
            rows, head = stamp_foreign(
                [
                    (_text(e.originator_id), e.originator_version, e.topic, e.state)
                    for e in stored_events
                ],
                head,
                self._clock(),
            )
            self._insert(connection, rows, head)
            self._insert_more(connection, **kwargs)
        return [row.position for row in rows]

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        with self.database.read() as connection:
            return _select_events(
                connection, "stored_events", self._id, originator_id, gt, lte, desc, limit
            )

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        statement = _SELECT + "WHERE notification_id >= ? "
        params: list[int | str] = [(start or 0) + (not inclusive_of_start)]
        if stop is not None:
            statement += "AND notification_id <= ? "
            params.append(stop)
        if topics:
            statement += f"AND topic IN ({', '.join('?' * len(topics))}) "
            params.extend(topics)
        with self.database.read() as connection:
            rows = connection.execute(
                statement + "ORDER BY notification_id LIMIT ?", [*params, limit]
            )
            return [
                RecordedNotification.of(StoredRow(*row), self._id(row[1]))
                for row in self._opened(connection, rows)
            ]

    def max_notification_id(self) -> int | None:
        with self.database.read() as connection:
            row = connection.execute("SELECT max(notification_id) FROM stored_events").fetchone()
        last: int | None = row[0]
        return last

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[EventLog]:
        return PollingSubscription(self, gt, topics)

    # --- shared -------------------------------------------------------------------------

    def _opened(
        self, connection: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]
    ) -> Iterable[tuple[Any, ...]]:
        """Rows of `_PLAIN_COLUMNS`, and perhaps the leaf, as readers are to see them."""
        return rows

    def _stream(
        self,
        connection: sqlite3.Connection,
        stream: str,
        after_version: int = 0,
        upto_position: int | None = None,
    ) -> list[StoredRow]:
        rows = _read_stream(connection, stream, after_version, upto_position)
        return [StoredRow(*row) for row in self._opened(connection, rows)]

    @contextmanager
    def _appending(self) -> Iterator[sqlite3.Connection]:
        with self.database.write() as connection:
            yield connection
        Waker.ring_all()

    def _store(
        self, connection: sqlite3.Connection, events: Sequence[NewEvent], drained: Drained | None
    ) -> tuple[StoredRow, ...]:
        rows, head = stamp(events, _head(connection), self._clock())
        self._insert(connection, rows, head)
        if drained is not None:
            connection.execute(
                "INSERT INTO drained VALUES (?, ?, ?, ?) ON CONFLICT (writer_id) DO UPDATE "
                "SET lap = excluded.lap, slot = excluded.slot, position = excluded.position",
                (*drained, head.position),
            )
        return rows

    def _insert(
        self, connection: sqlite3.Connection, rows: Sequence[StoredRow], head: LogHead
    ) -> None:
        if not rows:
            return
        try:
            connection.executemany(_INSERT, rows)
        except sqlite3.IntegrityError as error:
            if "notification_id" in str(error):
                raise LogCorrupt(
                    f"{self.database.name} holds events behind its head {head.position}; "
                    "somebody else wrote to it: verify it before you go on"
                ) from error
            raise VersionConflict(
                f"another event holds one of the versions from {rows[0].stream} "
                f"{rows[0].version} on; read the stream again and decide again"
            ) from error
        connection.execute(
            "UPDATE log_head SET size = ?, position = ?, recorded_at = ?, frontier = ?",
            (head.size, head.position, head.recorded_at, head.frontier.to_bytes()),
        )

    def _insert_more(self, connection: sqlite3.Connection, **kwargs: Any) -> None:
        """What else belongs into the transaction of `insert_events`."""

    def _find(self, events: Sequence[NewEvent]) -> tuple[StoredRow, ...] | None:
        """These very events as they stand in the log; None if one does not or is another's."""
        found = []
        with self.database.read() as connection:
            for event in events:
                row = connection.execute(
                    _SELECT + "WHERE originator_id = ? AND originator_version = ?",
                    (event.stream, event.version),
                ).fetchone()
                if row is None or StoredRow(*row).event_id != event.event_id:
                    return None
                found.append(StoredRow(*row)._replace(state=event.state))
        return tuple(found)


class SqliteAggregateRecorder(SqliteRecorder, AggregateRecorder):
    """Events in streams without a total order; the library keeps its snapshots here."""

    def __init__(self, database: Database, *, table: str = "stored_events", **options: Any):
        super().__init__(database, **options)
        self._table = table
        self.schema = (
            f"""
            CREATE TABLE IF NOT EXISTS {table} (
                originator_id TEXT, originator_version INTEGER, topic TEXT, state BLOB,
                PRIMARY KEY (originator_id, originator_version)
            ) WITHOUT ROWID
            """,
        )

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        with self.database.write() as connection:
            connection.executemany(
                f"INSERT INTO {self._table} VALUES (?, ?, ?, ?)",
                [
                    (_text(e.originator_id), e.originator_version, e.topic, e.state)
                    for e in stored_events
                ],
            )
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        with self.database.read() as connection:
            return _select_events(
                connection, self._table, self._id, originator_id, gt, lte, desc, limit
            )


class SqliteTrackingRecorder(SqliteRecorder, TrackingRecorder):
    """Up to where each upstream application was processed."""

    schema: tuple[str, ...] = _TRACKING_SCHEMA

    def insert_tracking(self, tracking: Tracking) -> None:
        with self.database.write() as connection:
            self._insert_tracking(connection, tracking)

    def _insert_tracking(self, connection: sqlite3.Connection, tracking: Tracking) -> None:
        moved = connection.execute(
            "INSERT INTO tracking VALUES (?, ?) ON CONFLICT (application_name) DO UPDATE "
            "SET notification_id = excluded.notification_id "
            "WHERE tracking.notification_id < excluded.notification_id",
            (tracking.application_name, tracking.notification_id),
        ).rowcount
        if not moved:
            raise IntegrityError(
                f"{tracking.application_name} was already processed up to "
                f"{tracking.notification_id} or further"
            )

    def max_tracking_id(self, application_name: str) -> int | None:
        with self.database.read() as connection:
            row = connection.execute(
                "SELECT notification_id FROM tracking WHERE application_name = ?",
                (application_name,),
            ).fetchone()
        return row[0] if row else None


class SqliteProcessRecorder(SqliteTrackingRecorder, SqliteLog, ProcessRecorder):
    """Events and tracking in one transaction: the library's exactly-once processing."""

    schema = _EVENTS_SCHEMA + _TRACKING_SCHEMA

    def _insert_more(self, connection: sqlite3.Connection, **kwargs: Any) -> None:
        tracking: Tracking | None = kwargs.get("tracking")
        if tracking is not None:
            self._insert_tracking(connection, tracking)


class Factory(InfrastructureFactory[SqliteTrackingRecorder]):
    """What the library constructs from the environment; see the module for the variables."""

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        name = self.env.get("SQLITE_DBNAME")
        if not name:
            raise OSError("SQLITE_DBNAME is not set; give it the path of the log's file")
        self._uuid_ids = self._originator_id_type() == "uuid"
        self.database = Database(name, lock_timeout_s=self._lock_timeout_s())

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        recorder = SqliteAggregateRecorder(
            self.database, table=f"stored_{purpose}", uuid_ids=self._uuid_ids
        )
        return self._created(recorder)

    def application_recorder(self) -> SqliteLog:
        return self._created(
            self._recorder_class(self.APPLICATION_RECORDER_TOPIC, SqliteLog)(
                self.database, uuid_ids=self._uuid_ids
            )
        )

    def tracking_recorder(
        self, tracking_recorder_class: type[SqliteTrackingRecorder] | None = None
    ) -> SqliteTrackingRecorder:
        chosen = tracking_recorder_class or self._recorder_class(
            self.TRACKING_RECORDER_TOPIC, SqliteTrackingRecorder
        )
        return self._created(chosen(self.database))

    def process_recorder(self) -> ProcessRecorder:
        return self._created(
            self._recorder_class(self.PROCESS_RECORDER_TOPIC, SqliteProcessRecorder)(
                self.database, uuid_ids=self._uuid_ids
            )
        )

    def close(self) -> None:
        self.database.close()

    def _created(self, recorder: _R) -> _R:
        if strtobool(self.env.get("CREATE_TABLE") or "yes"):
            recorder.create_table()
        return recorder

    def _recorder_class(self, key: str, default: type[_R]) -> type[_R]:
        topic = self.env.get(key)
        chosen: type[_R] = resolve_topic(topic) if topic else default
        if not issubclass(chosen, default):
            raise TypeError(f"{key}={topic} is no subclass of {default.__name__}")
        return chosen

    def _originator_id_type(self) -> str:
        given = (self.env.get("ORIGINATOR_ID_TYPE") or "uuid").lower()
        if given not in ("uuid", "text"):
            raise OSError(f"ORIGINATOR_ID_TYPE is {given!r}; it takes 'uuid' or 'text'")
        return given

    def _lock_timeout_s(self) -> float | None:
        given = (self.env.get("SQLITE_LOCK_TIMEOUT") or "").strip()
        if not given:
            return None
        try:
            return int(given)
        except ValueError:
            raise OSError(
                f"SQLITE_LOCK_TIMEOUT is {given!r}; it takes a whole number of seconds"
            ) from None


def open_log(path: str | Path, *, erasable: bool = False, **options: Any) -> SqliteLog:
    """The log in this file, created if it is not there; `options` are `Database`'s and `clock`.

    `erasable` is for a new one: a log that is there stays of the kind that it was made as.
    """
    # Imported here, as it is made of what is in this module.
    from runlore.storage.erasable import KEYS_SCHEMA, ErasableLog, is_erasable

    clock = options.pop("clock", now_us)
    log = SqliteLog(Database(path, **options), clock=clock)
    database = log.database
    with database.read() as connection:
        complete = _has_drained(connection)  # The last of the tables, and the youngest.
        exists = _exists(connection)
    if not complete and not (exists and database.read_only):
        with database.write() as connection:
            if erasable and not _exists(connection):  # Another process may have been faster.
                for statement in KEYS_SCHEMA:
                    connection.execute(statement)
            for statement in log.schema:
                connection.execute(statement)
    with database.read() as connection:
        has_keys = is_erasable(connection)
    return ErasableLog(database, clock=clock) if has_keys else log


def _exists(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'log_head'").fetchone()
    return found is not None


def _has_drained(connection: sqlite3.Connection) -> bool:
    """Whether the log is of a runlore that spools values; older ones lack the table."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'drained'").fetchone()
    return found is not None


def _head(connection: sqlite3.Connection) -> LogHead:
    row = connection.execute(
        "SELECT size, position, recorded_at, frontier FROM log_head"
    ).fetchone()
    if row is None:
        raise LogCorrupt("the log has lost its head (table log_head is empty); restore a copy")
    size, position, recorded_at, nodes = row
    try:
        if not (type(size) is type(position) is type(recorded_at) is int):
            raise ValueError(f"{row[:3]} are no numbers")
        return LogHead(position, recorded_at, Frontier.from_bytes(size, nodes))
    except ValueError as error:
        raise LogCorrupt(f"the log's head is damaged: {error}; restore a copy") from error


class _Wanted(NamedTuple):
    """What is to be read of the log; see `EventLog.read_log`."""

    after_position: int
    limit: int
    upto_position: int | None
    stream: str | None
    topics: Sequence[str]


def _read_log(connection: sqlite3.Connection, columns: str, wanted: _Wanted) -> sqlite3.Cursor:
    statement = f"SELECT {columns} FROM stored_events WHERE notification_id > ? "
    params: list[int | str] = [wanted.after_position]
    if wanted.upto_position is not None:
        statement += "AND notification_id <= ? "
        params.append(wanted.upto_position)
    if wanted.stream is not None:
        below = f"{wanted.stream}/"
        statement += "AND (originator_id = ? OR (originator_id >= ? AND originator_id < ?)) "
        params.extend((wanted.stream, below, _beyond(below)))
    if wanted.topics:
        statement += f"AND topic IN ({', '.join('?' * len(wanted.topics))}) "
        params.extend(wanted.topics)
    params.append(wanted.limit)
    return connection.execute(statement + "ORDER BY notification_id LIMIT ?", params)


def _beyond(prefix: str) -> str:
    """The least text that is greater than all that start with the prefix."""
    if not prefix:
        raise ValueError("a prefix of no characters is the whole log: use read_log()")
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _read_stream(
    connection: sqlite3.Connection,
    stream: str,
    after_version: int = 0,
    upto_position: int | None = None,
) -> sqlite3.Cursor:
    statement = _SELECT + "WHERE originator_id = ? AND originator_version > ? "
    params: list[str | int] = [stream, after_version]
    if upto_position is not None:
        statement += "AND notification_id <= ? "
        params.append(upto_position)
    return connection.execute(statement + "ORDER BY originator_version", params)


def _select_events(
    connection: sqlite3.Connection,
    table: str,
    show_id: Callable[[str], UUID | str],
    originator_id: UUID | str,
    gt: int | None,
    lte: int | None,
    desc: bool,
    limit: int | None,
) -> list[StoredEvent]:
    statement = (
        f"SELECT originator_id, originator_version, topic, state FROM {table} "
        "WHERE originator_id = ? "
    )
    params: list[str | int] = [_text(originator_id)]
    if gt is not None:
        statement += "AND originator_version > ? "
        params.append(gt)
    if lte is not None:
        statement += "AND originator_version <= ? "
        params.append(lte)
    statement += f"ORDER BY originator_version {'DESC' if desc else 'ASC'} "
    if limit is not None:
        statement += "LIMIT ?"
        params.append(limit)
    rows = connection.execute(statement, params)
    return [StoredEvent(show_id(row[0]), *row[1:]) for row in rows]
