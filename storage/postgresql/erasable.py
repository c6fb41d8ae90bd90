"""The log of an erasable workspace in PostgreSQL: see `runlore.storage.erasable`.

The server destroys a run's key in the transaction of `run.erased`. Old versions of the key's row
are gone when its table was rewritten, which the schema's owner does; the server's WAL and backups
keep them for as long as they are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import psycopg

from runlore.domain.events import RunErased
from runlore.domain.ids import run_stream
from runlore.storage.errors import LogReadOnly
from runlore.storage.event_log import NewEvent
from runlore.storage.fence import refuse_keyless
from runlore.storage.postgresql.connections import Connection
from runlore.storage.postgresql.errors import from_psycopg
from runlore.storage.postgresql.log import PostgresLog
from runlore.storage.postgresql.moving import Mover
from runlore.storage.postgresql.scan import PostgresScan
from runlore.storage.postgresql.schema import found_at, statement
from runlore.storage.seal import NO_KEY, new_key
from runlore.storage.sealed_rows import opened, sealed

_KEYS: Final = "SELECT run_id, key FROM @schema@.run_keys WHERE run_id = ANY(%b::text[])"
_MAKE: Final = "SELECT * FROM @schema@.keys_for(%b::text[], %b::bytea[])"
_ERASURE: Final = "SELECT state FROM @schema@.stored_events WHERE originator_id = %b AND topic = %b"


class ErasablePostgresLog(PostgresLog):
    """`EventLog` in PostgreSQL whose runs can be erased."""

    def as_stored(self) -> PostgresLog:
        return PostgresLog(self.connections, folder=self.folder)

    def scan(self) -> PostgresScan:
        return self.as_stored().scan()

    @property
    def erasable(self) -> bool:
        return True

    def last_erasure(self) -> int:
        [(last,)] = self._rows("SELECT max(position) FROM @schema@.erasures")
        return last or 0

    def key_of(self, run_id: str) -> bytes | None:
        key = self._keys_of([run_id]).get(run_id) or self._keys_for([run_id])[run_id]
        return None if key == NO_KEY else key

    def keys(self) -> Mapping[str, bytes]:
        return dict(self._rows("SELECT run_id, key FROM @schema@.run_keys"))

    def erased_runs(self) -> frozenset[str]:
        return frozenset(run for (run,) in self._rows("SELECT run_id FROM @schema@.erasures"))

    def take_keys(self, keys: Mapping[str, bytes]) -> None:
        self._change(lambda c, wait_ms: Mover(c, self._address).take_keys(keys, wait_ms))

    def give_up_keys(self) -> None:
        self._change(lambda c, wait_ms: Mover(c, self._address).give_up_keys(wait_ms))

    def scrub(self, timeout_s: float) -> bool:
        """Rewrites the table of keys, so that no old version is left in it.

        Raises LogReadOnly for all but the schema's owner.
        """
        address = self.connections.address
        if not self.connections.read(lambda connection: found_at(connection, address)).is_ours:
            raise LogReadOnly(
                "old versions of keys in the table run_keys, which its owner removes by "
                f"VACUUM (FULL) {address.quoted_schema}.run_keys"
            )
        return self._rewritten(timeout_s)

    def _rewritten(self, timeout_s: float) -> bool:
        address = self.connections.address
        with self.connections.dedicated() as connection:  # A setting of its session goes with it.
            try:
                wait_ms = max(1, int(1_000 * timeout_s))
                connection.execute(f"SET lock_timeout = {wait_ms:d}".encode())
                connection.execute(statement("VACUUM (FULL) @schema@.run_keys", address))
            except psycopg.errors.LockNotAvailable:
                return False
            except psycopg.Error as error:
                raise from_psycopg(error, address.uri) from error
        return True

    def _sealed(self, events: Sequence[NewEvent]) -> Sequence[NewEvent]:
        return sealed(events, self._keys_for)

    def _opened(self, connection: Connection, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        def keys_of(runs: Iterable[str]) -> Mapping[str, bytes]:
            keys = dict(self._execute(connection, _KEYS, [list(runs)]))
            mover = Mover(connection, self._address)
            refuse_keyless(self._address.uri, keys, mover.fence, self.known_version)
            return keys

        def erasure_of(run_id: str) -> bytes | None:
            found = self._execute(connection, _ERASURE, [run_stream(run_id), RunErased.topic])
            return found[0][0] if found else None

        return opened(rows, keys_of, erasure_of)

    def _keys_of(self, runs: Sequence[str]) -> Mapping[str, bytes]:
        return dict(self._rows(_KEYS, [list(runs)]))

    def _keys_for(self, runs: Sequence[str]) -> Mapping[str, bytes]:
        asked = [list(runs), [new_key() for _ in runs]]
        return dict(self.connections.read(lambda c: self._execute(c, _MAKE, asked)))
