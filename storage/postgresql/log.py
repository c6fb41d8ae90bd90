"""The log in PostgreSQL: positions, times and leaves are given on the server.

What is stored, and under which locks, is in `migrations/`: a change is one call of a function
there, in one round trip. So whoever writes needs no rights on the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import psycopg

from runlore.storage.clock_watch import ClockWatch
from runlore.storage.errors import LogTooNew, VersionConflict
from runlore.storage.event_log import (
    Drained,
    DrainedMark,
    ForeignEvent,
    NewEvent,
    ReadStream,
    StoredRow,
    batches,
)
from runlore.storage.fence import FENCED, Fence, too_new
from runlore.storage.held_path import HeldPath
from runlore.storage.log_head import LogHead
from runlore.storage.log_query import LogQuery
from runlore.storage.log_select import LogTable, in_order
from runlore.storage.movable_log import Beside, MovableLog
from runlore.storage.postgresql.address import Address
from runlore.storage.postgresql.calls import APPEND, Reply, Sent, sent, sent_foreign
from runlore.storage.postgresql.connections import Connection, Connections
from runlore.storage.postgresql.errors import OTHER_ISOLATION
from runlore.storage.postgresql.hints import Hints
from runlore.storage.postgresql.moving import Mover
from runlore.storage.postgresql.presence import PostgresPresence
from runlore.storage.postgresql.scan import COLUMNS, HEAD, PostgresScan, head_of
from runlore.storage.postgresql.schema import statement
from runlore.storage.postgresql.server_clock import ServerClock
from runlore.storage.stamp import observed_at
from runlore.storage.waker import Waker

_T = TypeVar("_T")

PLAIN_COLUMNS: Final = (
    "notification_id, originator_id, originator_version, topic, state, "
    "event_id, recorded_at, metadata"
)

# Between the parts of a transaction there is more to do than for one decision.
_PATIENT: Final = "SELECT set_config('idle_in_transaction_session_timeout', '60s', true)"
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
_MAY_APPEND: Final = "SELECT has_function_privilege(%b::text, 'EXECUTE')"
_FIND: Final = f"""
    SELECT {COLUMNS} FROM @schema@.stored_events
    JOIN unnest(%b::text[], %b::bigint[]) AS asked (stream, version)
    ON originator_id = stream AND originator_version = version
"""


class PostgresLog(MovableLog):
    """`EventLog` in a schema of a PostgreSQL database; a commit is as durable as the server's.

    `folder` is the one on this machine that the workspace's processes here share, if it has one.
    `clock` is the server's; each append tells it anew.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        folder: HeldPath | None = None,
        clock: ServerClock | None = None,
        identity: Hashable | None = None,
    ) -> None:
        self.connections = connections
        self._identity = identity
        self._folder = folder
        self._clock = clock or ServerClock()
        self._watch = ClockWatch()
        self._hints = Hints(connections)
        self._table = LogTable(
            f"{self._address.quoted_schema}.stored_events", placeholder="%b", no_limit=None
        )

    @property
    def _address(self) -> Address:
        return self.connections.address

    # --- EventLog ---------------------------------------------------------------------

    @property
    def folder(self) -> HeldPath | None:
        return self._folder

    @property
    def identity(self) -> Hashable | None:
        return self._identity

    @property
    def presence(self) -> PostgresPresence:
        return PostgresPresence(self.connections)

    @property
    def may_be_away(self) -> bool:
        return True

    @property
    def may_write(self) -> bool:
        [(may,)] = self._rows(_MAY_APPEND, [f"{self._address.quoted_schema}.lock_log(integer)"])
        return bool(may)

    @property
    def version(self) -> int:
        [(version,)] = self._rows("SELECT max(version) FROM @schema@.log_head")
        return int(version)

    def append(
        self, events: Sequence[NewEvent], *, drained: Drained | None = None
    ) -> tuple[StoredRow, ...]:
        if not events and drained is None:
            return ()
        given = sent(self._sealed(events))
        return self._settled(
            events, lambda c, wait_ms: self._stored(c, events, given, drained, wait_ms)
        )

    def append_decided(
        self,
        decide: Callable[[ReadStream], Sequence[NewEvent]],
        *,
        drained: Drained | None = None,
    ) -> tuple[StoredRow, ...]:
        events: list[NewEvent] = []
        is_decided = False

        def work(connection: Connection, wait_ms: int) -> tuple[StoredRow, ...]:
            nonlocal is_decided
            connection.execute(_BEGIN)
            self._execute(connection, "SELECT @schema@.lock_log(%b::int)", [wait_ms])
            if not is_decided:  # Else it is repeated: the same events settle what became of them.
                events.extend(decide(lambda stream: self._stream(connection, stream)))
                is_decided = True
            rows = self._stored(connection, events, sent(self._sealed(events)), drained, wait_ms)
            connection.execute("COMMIT")
            return rows

        return self._settled(events, work)

    def append_all(self, events: Callable[[], Iterable[NewEvent]]) -> None:
        def work(connection: Connection, wait_ms: int) -> None:
            connection.execute(_BEGIN)
            for batch in batches(events()):
                connection.deadline = None  # The whole may take as long as it needs.
                # All have the time of the first, which says nothing of the clock now.
                self._called(connection, sent(self._sealed(batch)), None, wait_ms)
                self._execute(connection, _PATIENT, [])
            connection.execute("COMMIT")

        try:
            self._change(work)
        except VersionConflict:
            if not all(map(self._find, batches(events()))):
                raise
        self._ring()

    def append_foreign(
        self,
        events: Sequence[ForeignEvent],
        *,
        beside: Callable[[Connection], object] | None = None,
    ) -> Sequence[int]:
        """As of `EventLog`; `beside` stores more in the same transaction."""
        given = sent_foreign(events)

        def work(connection: Connection, wait_ms: int) -> Reply:
            if beside is None:
                return self._called(connection, given, None, wait_ms)
            connection.execute(_BEGIN)
            reply = self._called(connection, given, None, wait_ms)
            beside(connection)
            connection.execute("COMMIT")
            return reply

        reply = self._change(work)
        self._ring()
        return list(range(reply.first_position, reply.first_position + len(events)))

    def drained_marks(self) -> Mapping[str, DrainedMark]:
        rows = self._rows("SELECT writer_id, lap, slot, position FROM @schema@.drained")
        return {writer_id: DrainedMark(*mark) for writer_id, *mark in rows}

    def read_stream(
        self, stream: str, *, after_version: int = 0, upto_position: int | None = None
    ) -> Sequence[StoredRow]:
        return self.connections.read(
            lambda connection: self._stream(connection, stream, after_version, upto_position)
        )

    def read_log(self, query: LogQuery) -> Sequence[StoredRow]:
        return [StoredRow(*row) for row in self._selected_events(COLUMNS, query)]

    def read_plain(self, query: LogQuery) -> Sequence[tuple[Any, ...]]:
        return self._selected_events(PLAIN_COLUMNS, query)

    def read_leaves(self, query: LogQuery) -> Sequence[bytes]:
        return [leaf for _, leaf in self._selected("notification_id, leaf", query)]

    def positions_of(self, query: LogQuery) -> Sequence[int]:
        return [position for (position,) in self._selected("notification_id", query)]

    def count_events(self, query: LogQuery) -> int:
        chosen, params = self._table.select("notification_id", query)
        [(count,)] = self._rows(f"SELECT count(*) FROM ({chosen}) AS chosen", params)
        return int(count)

    def head(self) -> LogHead:
        return head_of(self._rows(HEAD))

    def scan(self) -> PostgresScan:
        return PostgresScan(self.connections, self.read_log)

    def last_position(self) -> int:
        [(last,)] = self._rows("SELECT max(notification_id) FROM @schema@.stored_events")
        return last or 0

    def position_at(self, time: int) -> int:
        [(position,)] = self._rows("SELECT @schema@.position_at(%b::bigint)", [time])
        return int(position)

    def settle(self, time: int) -> None:
        settle = "SELECT @schema@.settle(%b::bigint, %b::int, %b::int)"
        self._change(lambda c, wait_ms: self._alone(c, settle, [time, self.known_version, wait_ms]))

    def now_us(self) -> int:
        return self._clock.now_us()

    def waker(self) -> Waker:
        return self._hints.waker()

    def close(self) -> None:
        self.connections.close()

    # --- MovableLog -------------------------------------------------------------------

    def fence(self) -> Fence | None:
        return self.connections.read(lambda c: Mover(c, self._address).fence())

    def beside(self) -> Beside:
        return self.connections.read(lambda c: Mover(c, self._address).beside())

    def adopt(self, rows: Sequence[StoredRow]) -> None:
        self._change(lambda c, wait_ms: Mover(c, self._address).adopt(rows, wait_ms))

    def put_up(self, fence: Fence, *, at: int) -> bool:
        return self._change(lambda c, wait_ms: Mover(c, self._address).put_up(fence, at, wait_ms))

    def take_down(self, beside: Beside) -> None:
        self._change(lambda c, wait_ms: Mover(c, self._address).take_down(beside, wait_ms))

    # --- shared -------------------------------------------------------------------------

    def _ring(self) -> None:
        Waker.ring_all()
        self._hints.tell()

    def _change(self, work: Callable[[Connection, int], _T]) -> _T:
        try:
            return self.connections.change(work)
        except LogTooNew as error:
            if error.version != FENCED:
                raise
            name = self._address.uri
            fence = self.fence()
            raise too_new(
                name, FENCED, error.known_version, fence, keyless=self.erasable
            ) from error

    def _settled(
        self,
        events: Sequence[NewEvent],
        work: Callable[[Connection, int], tuple[StoredRow, ...]],
    ) -> tuple[StoredRow, ...]:
        """The rows of a change; of an earlier attempt, if that stored these very events."""
        try:
            rows = self._change(work)
        except VersionConflict:
            found = self._find(events)
            if not found:
                raise
            return found
        self._ring()
        return rows

    def _stored(
        self,
        connection: Connection,
        events: Sequence[NewEvent],
        given: Sent,
        drained: Drained | None,
        wait_ms: int,
    ) -> tuple[StoredRow, ...]:
        reply = self._called(connection, given, drained, wait_ms)
        self._clock.tell(reply.now)
        self._watch.check(reply.now, reply.head_at, lambda: self._last_observed(connection, reply))
        return reply.rows(events, given)

    def _called(
        self, connection: Connection, given: Sent, drained: Drained | None, wait_ms: int
    ) -> Reply:
        params = given.params(self.known_version, drained, wait_ms)
        [row] = self._alone(connection, APPEND, params)
        return Reply(*row)

    def _alone(
        self, connection: Connection, text: str, params: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        """What a function returns that changes the log, also outside a transaction."""
        try:
            return self._execute(connection, text, params)
        except psycopg.Error as error:
            if error.sqlstate != OTHER_ISOLATION:
                raise
        # The default of the role or the database is another level.
        connection.execute(_BEGIN)
        rows = self._execute(connection, text, params)
        connection.execute("COMMIT")
        return rows

    def _find(self, events: Sequence[NewEvent]) -> tuple[StoredRow, ...] | None:
        """These events as stored; None if one is missing or another event has its version."""
        asked = [[event.stream for event in events], [event.version for event in events]]
        rows = self.connections.read(lambda c: self._events(c, _FIND, asked))
        stored = {row[1:3]: StoredRow(*row) for row in rows}
        found = []
        for event in events:
            row = stored.get((event.stream, event.version))
            if row is None or row.event_id != event.event_id:
                return None
            found.append(row)
        return tuple(found)

    def _last_observed(self, connection: Connection, reply: Reply) -> int | None:
        # On the connection of the change: there may be no other, and it may hold the lock.
        query = LogQuery.at(reply.first_position - 1)
        rows = self._execute(connection, *self._table.select(COLUMNS, query))
        return observed_at(StoredRow(*rows[0])) if rows else None

    def _stream(
        self,
        connection: Connection,
        stream: str,
        after_version: int = 0,
        upto_position: int | None = None,
    ) -> list[StoredRow]:
        text = (
            f"SELECT {COLUMNS} FROM @schema@.stored_events "
            "WHERE originator_id = %b AND originator_version > %b "
        )
        params: list[Any] = [stream, after_version]
        if upto_position is not None:
            text += "AND notification_id <= %b "
            params.append(upto_position)
        rows = self._events(connection, f"{text}ORDER BY originator_version", params)
        return [StoredRow(*row) for row in rows]

    def _sealed(self, events: Sequence[NewEvent]) -> Sequence[NewEvent]:
        """The events as they are to be stored."""
        return events

    def _opened(self, connection: Connection, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Rows of `PLAIN_COLUMNS`, possibly followed by the leaf, as readers should see them."""
        return rows

    def _events(
        self, connection: Connection, text: str, params: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        return self._opened(connection, self._execute(connection, text, params))

    def _selected_events(self, columns: str, query: LogQuery) -> list[tuple[Any, ...]]:
        text, params = self._table.select(columns, query)
        rows = self.connections.read(lambda connection: self._events(connection, text, params))
        return in_order(rows, query)

    def _selected(self, columns: str, query: LogQuery) -> list[tuple[Any, ...]]:
        return in_order(self._rows(*self._table.select(columns, query)), query)

    def _rows(self, text: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.connections.read(lambda connection: self._execute(connection, text, params))

    def _execute(
        self, connection: Connection, text: str, params: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        with connection.cursor(binary=True) as cursor:
            return cursor.execute(statement(text, self._address), params).fetchall()
