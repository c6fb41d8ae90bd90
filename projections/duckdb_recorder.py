"""A DuckDB database as the library's tracking recorder: rows and applied position move together.

`PERSISTENCE_MODULE=runlore.projections.duckdb_recorder` (prefixed by the projection's name) and
`DUCKDB_DBNAME` (a file, or `:memory:`) make the library's `ProjectionRunner` keep its view here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import duckdb
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    IntegrityError,
    ProcessRecorder,
    Tracking,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType, resolve_topic

_TRACKING = """
CREATE TABLE IF NOT EXISTS tracking (
    application_name VARCHAR, notification_id BIGINT, leaf BLOB
)
"""


class DuckDBView(TrackingRecorder):
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
                with suppress(duckdb.Error):  # The first error is the one to tell.
                    self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    def track(
        self, connection: duckdb.DuckDBPyConnection, tracking: Tracking, leaf: bytes = b""
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

    def insert_tracking(self, tracking: Tracking) -> None:
        with self.transaction() as connection:
            self.track(connection, tracking)

    def max_tracking_id(self, application_name: str) -> int | None:
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


class Factory(InfrastructureFactory[DuckDBView]):
    """The library's factory, configured by the environment: tracking recorders only."""

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self._connection = duckdb.connect(self.env.get("DUCKDB_DBNAME") or ":memory:")

    def tracking_recorder(
        self, tracking_recorder_class: type[DuckDBView] | None = None
    ) -> DuckDBView:
        topic = self.env.get(self.TRACKING_RECORDER_TOPIC)
        chosen: type[DuckDBView] = tracking_recorder_class or (
            resolve_topic(topic) if topic else DuckDBView
        )
        return chosen(self._connection)

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        _events_belong_elsewhere()

    def application_recorder(self) -> ApplicationRecorder:
        _events_belong_elsewhere()

    def process_recorder(self) -> ProcessRecorder:
        _events_belong_elsewhere()

    def close(self) -> None:
        self._connection.close()


def _events_belong_elsewhere() -> NoReturn:
    raise NotImplementedError(
        "DuckDB holds projections, not events; set PERSISTENCE_MODULE=runlore.storage.sqlite for "
        "the application and this module, prefixed with its name, for the projection"
    )
