"""The log of an erasable workspace in PostgreSQL: see `runlore.storage.erasable`.

The server destroys a run's key in the transaction of `run.erased`. Old versions of the key's row
are gone when its table was rewritten, which the schema's owner does; the server's WAL and backups
keep them for as long as they are kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from runlore.domain.events import RunErased
from runlore.domain.ids import run_stream
from runlore.storage.errors import LogReadOnly
from runlore.storage.event_log import NewEvent
from runlore.storage.fence import refuse_keyless
from runlore.storage.patience import Wait
from runlore.storage.postgresql.connections import Connection
from runlore.storage.postgresql.log import PostgresLog
from runlore.storage.postgresql.moving import Mover
from runlore.storage.postgresql.scan import PostgresScan
from runlore.storage.postgresql.schema import found_at, statement
from runlore.storage.seal import NO_KEY, new_key
from runlore.storage.sealed_rows import opened, sealed

_KEYS: Final = "SELECT run_id, key FROM @schema@.run_keys WHERE run_id = ANY(%b::text[])"
_MAKE: Final = "SELECT * FROM @schema@.keys_for(%b::text[], %b::bytea[])"
_KEYS_FILE: Final = "SELECT pg_relation_filenode('@schema@.run_keys')"
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
        return Wait(timeout_s).until(self._is_rewritten)

    def _is_rewritten(self, seconds: float) -> bool:
        """Rewrite the table of keys, unless another transaction holds it.

        A wait for its turn would hold up all that come later; and behind a pooler, a timeout that
        is set for this session would be that of other clients.
        """
        time.sleep(seconds)
        [(before,)] = self._rows(_KEYS_FILE)
        rewrite = statement("VACUUM (FULL, SKIP_LOCKED) @schema@.run_keys", self._address)
        self.connections.read(lambda connection: connection.execute(rewrite))
        [(after,)] = self._rows(_KEYS_FILE)
        return bool(after != before)

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
