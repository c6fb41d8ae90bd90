"""The log in a SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from typing import Any, Final

from runlore.domain.errors import RunloreError
from runlore.storage import sqlite_fence
from runlore.storage.as_of_times import NEVER_SETTLED
from runlore.storage.clock import Clock, now_us
from runlore.storage.clock_watch import ClockWatch
from runlore.storage.database import Database
from runlore.storage.driver_errors import DriverError
from runlore.storage.errors import LogCorrupt, VersionConflict
from runlore.storage.event_log import (
    Drained,
    DrainedMark,
    ForeignEvent,
    NewEvent,
    ReadStream,
    StoredRow,
    batches,
)
from runlore.storage.fence import Fence
from runlore.storage.held_path import HeldPath
from runlore.storage.log_head import LogHead
from runlore.storage.log_query import LogQuery
from runlore.storage.log_scan import LogScan
from runlore.storage.log_select import in_order
from runlore.storage.movable_log import Beside, MovableLog, adopted, steps_in
from runlore.storage.sqlite_queries import (
    COLUMNS,
    INSERT,
    LOG,
    PLAIN_COLUMNS,
    SELECT,
    count_created,
    fence_of,
    fetched,
    has_drained,
    head_of,
    move_head,
    raise_version,
    rows_of_stream,
    version_of,
)
from runlore.storage.sqlite_scan import SqliteScan
from runlore.storage.sqlite_schema import EVENTS_SCHEMA
from runlore.storage.sqlite_times import (
    add_step,
    keep_settled,
    last_step,
    settle_until,
    settled_until,
)
from runlore.storage.stamp import Stamped, check_passed, observed_at, stamp, stamp_foreign
from runlore.storage.waker import Waker

_PATIENCE_S: Final = 0.5


class SqliteLog(MovableLog):
    """`EventLog` in a SQLite file: every commit is synced to disk before the call returns."""

    schema: tuple[str, ...] = EVENTS_SCHEMA

    def __init__(self, database: Database, *, clock: Clock = now_us) -> None:
        self.database = database
        database.expect(self.schema)
        self.known_version = database.known_version
        self._clock = clock
        self._watch = ClockWatch()
        self._kept_settled = False

    def create_table(self) -> None:
        """Create the log's tables if they do not exist yet."""
        self.database.add_schema(self.schema)

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        self.database.close()

    # --- EventLog ---------------------------------------------------------------------

    @property
    def folder(self) -> HeldPath | None:
        return self.database.folder

    @property
    def may_write(self) -> bool:
        return self.database.may_write

    @property
    def version(self) -> int:
        with self.database.read() as connection:
            return version_of(connection)

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
                return self._store(connection, events, drained, self._clock())
        except VersionConflict:
            stored = self._find(events)
            if not stored:
                raise
            return stored

    def append_all(self, events: Callable[[], Iterable[NewEvent]]) -> None:
        with self.database.apart() as database:
            apart = copy(self)
            apart.database = database
            try:
                apart._store_all(events())
            except VersionConflict:
                if not all(map(self._find, batches(events()))):
                    raise
            finally:
                with suppress(
                    RunloreError, DriverError
                ):  # Else the WAL keeps the size that it needed.
                    database.truncate_wal(_PATIENCE_S)

    def append_foreign(
        self,
        events: Sequence[ForeignEvent],
        *,
        beside: Callable[[sqlite3.Connection], object] | None = None,
    ) -> Sequence[int]:
        """As of `EventLog`; `beside` stores more in the same transaction."""
        with self._appending() as connection:
            stamped = stamp_foreign(events, head_of(connection), self._clock())
            self._insert(connection, stamped)
            if beside is not None:
                beside(connection)
        return [row.position for row in stamped.rows]

    def drained_marks(self) -> Mapping[str, DrainedMark]:
        with self.database.read() as connection:
            if not has_drained(connection):
                return {}
            rows = connection.execute("SELECT writer_id, lap, slot, position FROM drained")
            return {writer_id: DrainedMark(*mark) for writer_id, *mark in rows}

    def read_stream(
        self, stream: str, *, after_version: int = 0, upto_position: int | None = None
    ) -> Sequence[StoredRow]:
        with self.database.read() as connection:
            return self._stream(connection, stream, after_version, upto_position)

    def read_log(self, query: LogQuery) -> Sequence[StoredRow]:
        with self.database.read() as connection:
            rows = self._opened(connection, fetched(connection, *LOG.select(COLUMNS, query)))
            return in_order([StoredRow(*row) for row in rows], query)

    def read_plain(self, query: LogQuery) -> Sequence[tuple[Any, ...]]:
        with self.database.read() as connection:
            rows = self._opened(connection, fetched(connection, *LOG.select(PLAIN_COLUMNS, query)))
            return in_order(list(rows), query)

    def read_leaves(self, query: LogQuery) -> Sequence[bytes]:
        with self.database.read() as connection:
            rows = connection.execute(*LOG.select("notification_id, leaf", query)).fetchall()
        return [leaf for _, leaf in in_order(rows, query)]

    def count_events(self, query: LogQuery) -> int:
        # From an index alone, unless topics are asked for.
        statement, params = LOG.select("notification_id", query)
        with self.database.read() as connection:
            row = connection.execute(f"SELECT count(*) FROM ({statement})", params).fetchone()
        count: int = row[0]
        return count

    def positions_of(self, query: LogQuery) -> Sequence[int]:
        # From an index alone, unless topics are asked for.
        with self.database.read() as connection:
            rows = connection.execute(*LOG.select("notification_id", query)).fetchall()
        return [position for (position,) in in_order(rows, query)]

    def count_created(self, experiment_id: str, *, upto_position: int) -> int | None:
        with self.database.read() as connection:
            return count_created(connection, experiment_id, upto_position)

    def scan(self) -> LogScan:
        return SqliteScan(self.database)

    def head(self) -> LogHead:
        with self.database.read() as connection:
            return head_of(connection)

    def last_position(self) -> int:
        with self.database.read() as connection:
            row = connection.execute("SELECT max(notification_id) FROM stored_events").fetchone()
        last: int | None = row[0]
        return last or 0

    def synced_head(self) -> LogHead:
        head = self.head()
        self.database.sync()
        return head

    def position_at(self, time: int) -> int:
        with self.database.read() as connection:
            row = connection.execute(
                "SELECT notification_id FROM stored_events WHERE recorded_at <= ? "
                "ORDER BY recorded_at DESC, notification_id DESC LIMIT 1",
                (time,),
            ).fetchone()
            return max(row[0] if row else 0, last_step(connection, time))

    def stuck_writer(self) -> str | None:
        return self.database.stuck_writer()

    def settle(self, time: int) -> None:
        with self.database.read() as connection:
            if time <= settled_until(connection):
                return
        check_passed(time, self._clock(), self.head())
        with self.database.write() as connection:
            settle_until(connection, time)

    # --- MovableLog -------------------------------------------------------------------

    def fence(self) -> Fence | None:
        with self.database.read() as connection:
            return fence_of(connection)

    def beside(self) -> Beside:
        with self.database.read() as connection:
            return sqlite_fence.beside_of(connection)

    def adopt(self, rows: Sequence[StoredRow]) -> None:
        with self.database.write(fenced=True) as connection:
            if rows and _has(connection, rows[-1]):
                return
            self._adopt(connection, rows)

    def put_up(self, fence: Fence, *, at: int) -> bool:
        with self.database.write(fenced=True) as connection:
            is_last = head_of(connection).position == at
            if is_last:
                sqlite_fence.put_up(connection, fence)
            return is_last

    def take_down(self, beside: Beside) -> None:
        with self.database.write(fenced=True) as connection:
            sqlite_fence.take_down(connection, beside)

    # --- shared -------------------------------------------------------------------------

    def _adopt(self, connection: sqlite3.Connection, rows: Sequence[StoredRow]) -> None:
        head = adopted(head_of(connection), rows)
        self._insert(connection, Stamped(tuple(rows), head, head.recorded_at))
        for as_of, position in steps_in(rows):
            add_step(connection, as_of, position)

    def _opened(
        self, connection: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]
    ) -> Iterable[tuple[Any, ...]]:
        """Rows of `PLAIN_COLUMNS`, possibly followed by the leaf, as readers should see them."""
        return rows

    def _stream(
        self,
        connection: sqlite3.Connection,
        stream: str,
        after_version: int = 0,
        upto_position: int | None = None,
    ) -> list[StoredRow]:
        rows = rows_of_stream(connection, stream, after_version, upto_position)
        return [StoredRow(*row) for row in self._opened(connection, rows)]

    @contextmanager
    def _appending(self) -> Iterator[sqlite3.Connection]:
        with self.database.write() as connection:
            yield connection
        Waker.ring_all()

    def _store_all(self, events: Iterable[NewEvent]) -> None:
        with self._appending() as connection:
            now = self._clock()  # One time for all: as of any other, all are there or none.
            for batch in batches(events):
                self.database.go_on()
                self._store(connection, batch, None, now)

    def _store(
        self,
        connection: sqlite3.Connection,
        events: Sequence[NewEvent],
        drained: Drained | None,
        now: int,
    ) -> tuple[StoredRow, ...]:
        self._kept_settled = self._kept_settled or keep_settled(connection)
        head = head_of(connection)
        settled = settled_until(connection) if now < head.recorded_at else NEVER_SETTLED
        self._watch.check(now, head.recorded_at, lambda: _last_observed(connection, head))
        stamped = stamp(events, head, now, settled)
        version = max([event.log_version for event in events], default=0)
        if version > self.database.version:
            raise_version(connection, version)
            self.database.version = version
        self._insert(connection, stamped)
        if drained is not None:
            connection.execute(
                "INSERT INTO drained VALUES (?, ?, ?, ?) ON CONFLICT (writer_id) DO UPDATE "
                "SET lap = excluded.lap, slot = excluded.slot, position = excluded.position",
                (*drained, stamped.head.position),
            )
        return stamped.rows

    def _insert(self, connection: sqlite3.Connection, stamped: Stamped) -> None:
        rows, head, as_of = stamped
        if not rows:
            return
        try:
            connection.executemany(INSERT, rows)
        except sqlite3.IntegrityError as error:
            if "notification_id" in str(error):
                raise LogCorrupt(
                    f"{self.database.name} holds events after its head {head.position}, so another "
                    "program wrote to it; run `runlore audit verify` before you log more"
                ) from error
            raise VersionConflict(
                f"another event holds one of the versions from {rows[0].stream} "
                f"{rows[0].version} on; read the stream again and decide again"
            ) from error
        move_head(connection, head, self.database.version)
        if as_of < head.recorded_at:
            add_step(connection, as_of, head.position)

    def _find(self, events: Sequence[NewEvent]) -> tuple[StoredRow, ...] | None:
        """These events as stored; None if one is missing or another event has its version."""
        found = []
        with self.database.read() as connection:
            for event in events:
                row = connection.execute(
                    SELECT + "WHERE originator_id = ? AND originator_version = ?",
                    (event.stream, event.version),
                ).fetchone()
                if row is None or StoredRow(*row).event_id != event.event_id:
                    return None
                found.append(StoredRow(*row)._replace(state=event.state))
        return tuple(found)


def _has(connection: sqlite3.Connection, row: StoredRow) -> bool:
    found = connection.execute(
        "SELECT leaf FROM stored_events WHERE notification_id = ?", (row.position,)
    )
    return bool(found.fetchone() == (row.leaf,))


def _last_observed(connection: sqlite3.Connection, head: LogHead) -> int | None:
    """What the clock of the last event's writer said; None if there is no event."""
    row = connection.execute(SELECT + "WHERE notification_id = ?", (head.position,)).fetchone()
    return None if row is None else observed_at(StoredRow(*row))
