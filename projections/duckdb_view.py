"""A DuckDB database whose rows and applied position move together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, Protocol

from runlore.projections.driver import duckdb, stop
from runlore.storage.driver_errors import IntegrityError

_TRACKING = """
CREATE TABLE IF NOT EXISTS tracking (
    application_name VARCHAR, notification_id BIGINT, leaf BLOB
)
"""


class Tracked(Protocol):
    """How far a log was applied, as the library's `Tracking` says it."""

    @property
    def application_name(self) -> str: ...

    @property
    def notification_id(self) -> int: ...


class Tracking(NamedTuple):
    """`Tracked`, without the library."""

    application_name: str
    notification_id: int


class DuckDBView:
    """A database that holds views. One connection, one lock: any thread may call.

    Subclass it with methods that read and write your tables; write inside `transaction()` and
    call `track` in the same one.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.lock = threading.RLock()
        self._applied: dict[str, tuple[int, bytes]] = {}
        with self.transaction() as transaction:
            transaction.execute(_TRACKING)

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction on the connection, rolled back if the block raises."""
        with self.lock:
            try:  # Includes BEGIN: an interrupt may come right after it.
                self.connection.execute("BEGIN TRANSACTION")
                yield self.connection
            except BaseException:
                stop(self.connection)
                with suppress(duckdb.Error):  # The first error is the one to tell.
                    self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    def track(
        self, connection: duckdb.DuckDBPyConnection, tracking: Tracked, leaf: bytes = b""
    ) -> None:
        """Moves the applied position, inside an open transaction.

        Raises IntegrityError unless it moves forward. `leaf` is the log's at that position.
        """
        held = self._held(connection, tracking.application_name)
        self._applied.pop(tracking.application_name, None)
        if held is not None and held >= tracking.notification_id:
            raise IntegrityError(
                f"{tracking.application_name} was applied up to {held} already, so "
                f"{tracking.notification_id} cannot be applied again"
            )
        if held is None:
            connection.execute(
                "INSERT INTO tracking VALUES (?, ?, ?)",
                [tracking.application_name, tracking.notification_id, leaf],
            )
        else:
            connection.execute(
                "UPDATE tracking SET notification_id = ?, leaf = ? WHERE application_name = ?",
                [tracking.notification_id, leaf, tracking.application_name],
            )

    def applied(self, application_name: str) -> tuple[int, bytes]:
        """The applied position and the log's leaf there; (0, b"") if nothing was applied."""
        with self.lock:
            # Kept, as every question begins with this one and nobody else moves it.
            if application_name not in self._applied:
                # Not fetchone(): a result that is not read to its end blocks the connection.
                rows = self.connection.execute(
                    "SELECT notification_id, leaf FROM tracking WHERE application_name = ?",
                    [application_name],
                ).fetchall()
                if not rows:
                    return 0, b""
                self._applied[application_name] = rows[0]
            return self._applied[application_name]

    def max_tracking_id(self, application_name: str) -> int | None:
        """The applied position; None if nothing was applied."""
        with self.lock:
            return self._held(self.connection, application_name)

    def close(self) -> None:
        """Closes the connection."""
        with self.lock:
            self.connection.close()

    def _held(self, connection: duckdb.DuckDBPyConnection, application_name: str) -> int | None:
        rows = connection.execute(
            "SELECT notification_id FROM tracking WHERE application_name = ?",
            [application_name],
        ).fetchall()
        return rows[0][0] if rows else None
