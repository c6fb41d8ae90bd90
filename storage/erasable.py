"""The log of an erasable workspace: each run's payloads are sealed under a key of its own.

Readers and writers exchange events in the clear, as with any log; what is stored, and hashed into
the leaf, is ciphertext. A key is made in the transaction of its run's first event, and overwritten
in that of `run.erased`. From then on the run's events read as `ERASED`, except for its creation,
which reads as `run.erased` describes it in the clear: positions, versions and the numbers of other
runs stay the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from runlore.domain.events import RunErased
from runlore.domain.ids import run_stream
from runlore.storage.clock import Clock, now_us
from runlore.storage.database import Database
from runlore.storage.event_log import Drained, EventLog, NewEvent, StoredRow
from runlore.storage.fence import refuse_keyless
from runlore.storage.seal import NO_KEY
from runlore.storage.sealed_rows import opened, sealed
from runlore.storage.sqlite_keys import (
    all_keys,
    destroy_key,
    erased_runs,
    key_for,
    keys_for,
    keys_of,
    overwrite_keys,
    store_keys,
)
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.sqlite_queries import fence_of


class ErasableLog(SqliteLog):
    """`EventLog` in a SQLite file whose runs can be erased."""

    def __init__(self, database: Database, *, clock: Clock = now_us) -> None:
        super().__init__(database, clock=clock)
        database.overwrite_what_is_deleted()

    def as_stored(self) -> EventLog:
        return SqliteLog(self.database, clock=self._clock)

    @property
    def erasable(self) -> bool:
        return True

    def count_created(self, experiment_id: str, *, upto_position: int) -> int | None:
        return None  # SQL sees sealed states.

    def last_erasure(self) -> int:
        with self.database.read() as connection:
            row = connection.execute("SELECT max(position) FROM erasures").fetchone()
        return row[0] or 0

    def key_of(self, run_id: str) -> bytes | None:
        with self.database.read() as connection:
            key = keys_of(connection, [run_id]).get(run_id)
        if key is None:
            with self.database.write() as connection:
                key = key_for(connection, run_id)
        return None if key == NO_KEY else key

    def scrub(self, timeout_s: float) -> bool:
        """Writes the log's WAL back and empties it, so that no old page is left in it."""
        return self.database.truncate_wal(timeout_s)

    def keys(self) -> Mapping[str, bytes]:
        with self.database.read() as connection:
            return all_keys(connection)

    def erased_runs(self) -> frozenset[str]:
        with self.database.read() as connection:
            return erased_runs(connection)

    def take_keys(self, keys: Mapping[str, bytes]) -> None:
        with self.database.write(fenced=True) as connection:
            store_keys(connection, keys)

    def give_up_keys(self) -> None:
        with self.database.write(fenced=True) as connection:
            overwrite_keys(connection)

    def _adopt(self, connection: sqlite3.Connection, rows: Sequence[StoredRow]) -> None:
        super()._adopt(connection, rows)
        _destroy_keys(connection, rows)

    def _store(
        self,
        connection: sqlite3.Connection,
        events: Sequence[NewEvent],
        drained: Drained | None,
        now: int,
    ) -> tuple[StoredRow, ...]:
        rows = super()._store(
            connection, sealed(events, partial(keys_for, connection)), drained, now
        )
        _destroy_keys(connection, rows)
        return tuple(
            row._replace(state=event.state) for row, event in zip(rows, events, strict=True)
        )

    def _opened(
        self, connection: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]
    ) -> Iterable[tuple[Any, ...]]:
        def found(runs: Iterable[str]) -> Mapping[str, bytes]:
            keys = keys_of(connection, runs)
            refuse_keyless(
                self.database.name, keys, lambda: fence_of(connection), self.known_version
            )
            return keys

        return opened(list(rows), found, partial(_erasure_of, connection))


def _destroy_keys(connection: sqlite3.Connection, rows: Iterable[StoredRow]) -> None:
    for row in rows:
        if row.topic == RunErased.topic:
            destroy_key(connection, row)


def _erasure_of(connection: sqlite3.Connection, run_id: str) -> bytes | None:
    """The state of the event that erased a run."""
    row = connection.execute(
        "SELECT state FROM stored_events WHERE originator_id = ? AND topic = ?",
        (run_stream(run_id), RunErased.topic),
    ).fetchone()
    return None if row is None else row[0]
