"""Copying and moving a log in PostgreSQL: for the owner of its schema, by direct statements.

Writers can only call functions, none of which stores given positions, times or leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from runlore.domain.events import RunErased
from runlore.domain.ids import run_id_of
from runlore.storage.errors import LogCorrupt
from runlore.storage.event_log import DrainedMark, StoredRow
from runlore.storage.fence import FENCED, Fence
from runlore.storage.log_head import LogHead
from runlore.storage.merkle import Frontier
from runlore.storage.movable_log import Beside, adopted, steps_in
from runlore.storage.postgresql.address import Address
from runlore.storage.postgresql.connections import Connection
from runlore.storage.postgresql.schema import statement
from runlore.storage.seal import NO_KEY

_HEAD: Final = """
    SELECT position, recorded_at, frontier, version FROM @schema@.log_head
    ORDER BY position DESC, recorded_at DESC LIMIT 1
"""
_INSERT: Final = """
    INSERT INTO @schema@.stored_events SELECT * FROM unnest(
        %b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::bytea[], %b::bytea[], %b::bigint[],
        %b::bytea[], %b::bytea[])
"""
_MOVE_HEAD: Final = """
    WITH gone AS (DELETE FROM @schema@.log_head RETURNING version, clock)
    INSERT INTO @schema@.log_head
    SELECT %b::bigint, %b::bigint, %b::bytea, version, clock, '0' FROM gone
"""
_STEP: Final = """
    WITH gone AS (DELETE FROM @schema@.as_of_steps WHERE as_of > %b::bigint)
    INSERT INTO @schema@.as_of_steps VALUES (%b::bigint, %b::bigint)
    ON CONFLICT (as_of) DO UPDATE SET position = excluded.position
"""
_FENCE: Final = """
    INSERT INTO @schema@.fence VALUES (true, %b::text, %b::text, %b::int)
    ON CONFLICT (one) DO UPDATE
    SET kind = excluded.kind, place = excluded.place, version = excluded.version
"""
_DRAIN: Final = """
    INSERT INTO @schema@.drained SELECT * FROM unnest(
        %b::text[], %b::bigint[], %b::bigint[], %b::bigint[])
    ON CONFLICT (writer_id) DO UPDATE
    SET lap = excluded.lap, slot = excluded.slot, position = excluded.position
"""
_ERASE: Final = """
    INSERT INTO @schema@.erasures SELECT erased.*
    FROM unnest(%b::bigint[], %b::text[]) AS erased, @schema@.log_format WHERE is_erasable
"""
_TAKE_KEYS: Final = """
    INSERT INTO @schema@.run_keys SELECT * FROM unnest(%b::text[], %b::bytea[])
    ON CONFLICT (run_id) DO UPDATE SET key = excluded.key
"""


class Mover:
    """The statements of a log's schema, on a connection that it is given."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self._connection = connection
        self._address = address

    def fence(self) -> Fence | None:
        """The log's fence, or None."""
        rows = self._do("SELECT kind, place, version FROM @schema@.fence")
        return Fence(*rows[0]) if rows else None

    def beside(self) -> Beside:
        """What the log has beside its events."""
        [(_, recorded_at, _, version)] = self._do(_HEAD)
        [(settled_until,)] = self._do("SELECT until FROM @schema@.settled")
        marks = self._do("SELECT writer_id, lap, slot, position FROM @schema@.drained")
        fence = self.fence()
        return Beside(
            recorded_at,
            version if fence is None else fence.version,
            settled_until,
            {writer_id: DrainedMark(*mark) for writer_id, *mark in marks},
        )

    def adopt(self, rows: Sequence[StoredRow], wait_ms: int) -> None:
        """As `MovableLog.adopt`."""
        with self._connection.transaction():
            position, recorded_at, nodes, _ = self._locked_head(wait_ms)
            if rows and position >= rows[-1].position and self._has(rows[-1]):
                return
            head = LogHead(position, recorded_at, Frontier.from_bytes(position, nodes))
            new = adopted(head, rows)
            self._do(_INSERT, *map(list, zip(*rows, strict=True)))
            self._do(_MOVE_HEAD, new.position, new.recorded_at, new.frontier.to_bytes())
            for as_of, place in steps_in(rows):
                self._do(_STEP, as_of, as_of, place)
            erased = [row for row in rows if row.topic == RunErased.topic]
            positions = [row.position for row in erased]
            self._do(_ERASE, positions, [run_id_of(row.stream) for row in erased])

    def put_up(self, fence: Fence, at: int, wait_ms: int) -> bool:
        """As `MovableLog.put_up`."""
        with self._connection.transaction():
            if self._locked_head(wait_ms)[0] != at:
                return False
            self._do(_FENCE, *fence)
            self._do("UPDATE @schema@.log_head SET version = %b::int", FENCED)
            return True

    def take_down(self, beside: Beside, wait_ms: int) -> None:
        """As `MovableLog.take_down`."""
        with self._connection.transaction():
            self._locked_head(wait_ms)
            marks = [(writer_id, *mark) for writer_id, mark in beside.drained.items()]
            if marks:
                self._do(_DRAIN, *map(list, zip(*marks, strict=True)))
            settle = "UPDATE @schema@.settled SET until = greatest(until, %b::bigint)"
            self._do(settle, beside.settled_until)
            head = (
                "UPDATE @schema@.log_head SET version = %b::int, "
                "recorded_at = greatest(recorded_at, %b::bigint)"
            )
            self._do(head, beside.version, beside.recorded_at)
            self._do("DELETE FROM @schema@.fence")

    def take_keys(self, keys: Mapping[str, bytes], wait_ms: int) -> None:
        """As `MovableLog.take_keys`."""
        with self._connection.transaction():
            self._locked_head(wait_ms)
            self._do(_TAKE_KEYS, [*keys], [*keys.values()])

    def give_up_keys(self, wait_ms: int) -> None:
        """As `MovableLog.give_up_keys`."""
        with self._connection.transaction():
            self._locked_head(wait_ms)
            self._do("UPDATE @schema@.run_keys SET key = %b", NO_KEY)

    def _locked_head(self, wait_ms: int) -> tuple[Any, ...]:
        self._do("SELECT @schema@.lock_log(%b::int)", wait_ms)
        rows = self._do(_HEAD)
        if not rows:
            raise LogCorrupt("the log has lost its head (table log_head is empty); restore a copy")
        return rows[0]

    def _has(self, row: StoredRow) -> bool:
        find = "SELECT leaf FROM @schema@.stored_events WHERE notification_id = %b::bigint"
        return self._do(find, row.position) == [(row.leaf,)]

    def _do(self, text: str, *params: Any) -> list[tuple[Any, ...]]:
        with self._connection.cursor(binary=True) as cursor:
            cursor.execute(statement(text, self._address), params or None)
            return cursor.fetchall() if cursor.description else []
