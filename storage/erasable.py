"""The log of an erasable workspace: each run's payloads are sealed under a key of its own.

Readers and writers exchange events in the clear, as with any log; what is stored, and hashed into
the leaf, is ciphertext. A key is made in the transaction of its run's first event, and overwritten
in that of `run.erased`. From then on the run's events read as `ERASED`, except for its creation,
which reads as `run.erased` describes it in the clear: positions, versions and the numbers of other
runs stay the same.

Keys stay in memory for one call at most: a run that another process erases is gone here as well.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runlore.domain.events import RunCreated, RunErased, remains_of
from runlore.domain.ids import owner_of, run_id_of, run_stream
from runlore.storage.clock import Clock, now_us
from runlore.storage.codec import ERASED, UNSEALABLE, decode_event, encode_state
from runlore.storage.database import Database
from runlore.storage.event_log import Drained, EventLog, NewEvent, StoredRow
from runlore.storage.seal import NO_KEY, Cipher, is_sealed, new_key
from runlore.storage.sqlite_keys import destroy_key, key_for, keys_of
from runlore.storage.sqlite_log import SqliteLog


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

    def _store(
        self,
        connection: sqlite3.Connection,
        events: Sequence[NewEvent],
        drained: Drained | None,
        now: int,
    ) -> tuple[StoredRow, ...]:
        ciphers: dict[str, Cipher] = {}
        sealed = [
            event._replace(state=_sealed(connection, event, ciphers))
            if is_sealed(event.stream, event.topic)
            else event
            for event in events
        ]
        rows = super()._store(connection, sealed, drained, now)
        for row in rows:
            if row.topic == RunErased.topic:
                destroy_key(connection, row)
        return tuple(
            row._replace(state=event.state) for row, event in zip(rows, events, strict=True)
        )

    def _opened(
        self, connection: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]
    ) -> Iterable[tuple[Any, ...]]:
        rows = list(rows)
        streams = {row[1] for row in rows if type(row[1]) is str}
        ciphers = _ciphers_of(connection, filter(None, map(run_id_of, streams)))
        remains: dict[str, bytes] = {}
        opened = []
        for row in rows:
            position, stream, version, topic, state, event_id, *_ = row
            plain = type(stream) is str and type(topic) is str
            if event_id is None or not plain or not is_sealed(stream, topic):
                opened.append(row)
                continue
            run_id = owner_of(stream)
            try:
                cipher = ciphers[run_id]
                if isinstance(cipher, ValueError):
                    raise cipher
                if cipher is not None:
                    state = cipher.unseal(stream, version, topic, state)
                elif topic != RunCreated.topic:
                    state = ERASED
                else:
                    if run_id not in remains:
                        remains[run_id] = _remains_of(connection, run_id)
                    state = remains[run_id]
            except KeyError:
                state = _unsealable("the key of its run is missing")
            except (TypeError, ValueError) as error:
                state = _unsealable(str(error))
            opened.append((position, stream, version, topic, state, *row[5:]))
        return opened


def _unsealable(problem: str) -> bytes:
    return UNSEALABLE + problem.encode()


def _ciphers_of(
    connection: sqlite3.Connection, runs: Iterable[str]
) -> Mapping[str, Cipher | ValueError | None]:
    """The ciphers of the runs; None for one that was erased, what is wrong for a damaged key."""
    ciphers: dict[str, Cipher | ValueError | None] = {}
    for run_id, key in keys_of(connection, runs).items():
        try:
            ciphers[run_id] = None if key == NO_KEY else Cipher(key)
        except (TypeError, ValueError) as error:
            ciphers[run_id] = ValueError(f"the key of its run is damaged: {error}")
    return ciphers


def _sealed(connection: sqlite3.Connection, event: NewEvent, ciphers: dict[str, Cipher]) -> bytes:
    run_id = run_id_of(event.stream) or ""
    if run_id not in ciphers:
        key = key_for(connection, run_id)
        # Values logged by a process that does not know of the erasure yet are sealed under a key
        # that is not kept: its spool empties, and the values are gone.
        ciphers[run_id] = Cipher(new_key() if key == NO_KEY else key)
    return ciphers[run_id].seal(event.stream, event.version, event.topic, event.state)


def _remains_of(connection: sqlite3.Connection, run_id: str) -> bytes:
    """What remains of an erased run's creation, encoded like a creation."""
    row = connection.execute(
        "SELECT state FROM stored_events WHERE originator_id = ? AND topic = ?",
        (run_stream(run_id), RunErased.topic),
    ).fetchone()
    erased = row and decode_event(RunErased.topic, row[0])
    if not erased:
        raise ValueError("its run's key is gone, and no event says that the run was erased")
    return encode_state(RunCreated.schema_version, remains_of(erased))
