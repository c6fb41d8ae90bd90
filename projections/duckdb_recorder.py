"""A view in DuckDB as a tracking recorder of the `eventsourcing` library.

`PERSISTENCE_MODULE=runlore.projections.duckdb_recorder` (prefixed by the projection's name) and
`DUCKDB_DBNAME` (a file, or `:memory:`) make the library's `ProjectionRunner` keep its view here.
"""

from __future__ import annotations

from typing import NoReturn

import duckdb
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    ProcessRecorder,
    Tracking,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType, resolve_topic

from runlore.projections.driver import connect
from runlore.projections.duckdb_view import DuckDBView, Tracked
from runlore.storage.recorder import library_errors


class DuckDBRecorder(DuckDBView, TrackingRecorder):
    """A `DuckDBView` for views of the library, whose errors it raises."""

    def track(
        self, connection: duckdb.DuckDBPyConnection, tracking: Tracked, leaf: bytes = b""
    ) -> None:
        with library_errors():
            super().track(connection, tracking, leaf)

    def insert_tracking(self, tracking: Tracking) -> None:
        with self.transaction() as connection:
            self.track(connection, tracking)


class Factory(InfrastructureFactory[DuckDBRecorder]):
    """The library's factory, configured by the environment: tracking recorders only."""

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self._connection = connect(self.env.get("DUCKDB_DBNAME") or ":memory:", {})

    def tracking_recorder(
        self, tracking_recorder_class: type[DuckDBRecorder] | None = None
    ) -> DuckDBRecorder:
        topic = self.env.get(self.TRACKING_RECORDER_TOPIC)
        chosen: type[DuckDBRecorder] = tracking_recorder_class or (
            resolve_topic(topic) if topic else DuckDBRecorder
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
