"""The `eventsourcing` persistence module around the log in SQLite.

Any application of the library runs on it with `PERSISTENCE_MODULE=runlore.storage.sqlite` and
`SQLITE_DBNAME=<file>`; `SQLITE_LOCK_TIMEOUT` (whole seconds, default 60), `ORIGINATOR_ID_TYPE`
(`uuid` or `text`) and `CREATE_TABLE` work as in the library's own module. That module does not do
for us: its positions are reused after a deletion, its plain BEGIN cannot read before it writes, it
has no `subscribe()` and does not survive a fork.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

from eventsourcing.persistence import (
    AggregateRecorder,
    InfrastructureFactory,
    IntegrityError,
    ProcessRecorder,
    StoredEvent,
    Tracking,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType, resolve_topic, strtobool

from runlore.storage.database import Database
from runlore.storage.sqlite_log import SqliteLog, SqliteRecorder
from runlore.storage.sqlite_queries import library_events, text_id
from runlore.storage.sqlite_schema import EVENTS_SCHEMA, TRACKING_SCHEMA, aggregates_schema

_R = TypeVar("_R", bound=SqliteRecorder)


class SqliteAggregateRecorder(SqliteRecorder, AggregateRecorder):
    """Events in streams without a total order; the library keeps its snapshots here."""

    def __init__(self, database: Database, *, table: str = "stored_events", **options: Any):
        self._table = table
        self.schema = aggregates_schema(table)
        super().__init__(database, **options)

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        with self.database.write() as connection:
            connection.executemany(
                f"INSERT INTO {self._table} VALUES (?, ?, ?, ?)",
                [
                    (text_id(e.originator_id), e.originator_version, e.topic, e.state)
                    for e in stored_events
                ],
            )
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        with self.database.read() as connection:
            return library_events(
                connection, self._table, self._id, originator_id, gt, lte, desc, limit
            )


class SqliteTrackingRecorder(SqliteRecorder, TrackingRecorder):
    """The position up to which each upstream application was processed."""

    schema: tuple[str, ...] = TRACKING_SCHEMA

    def insert_tracking(self, tracking: Tracking) -> None:
        with self.database.write() as connection:
            self._insert_tracking(connection, tracking)

    def _insert_tracking(self, connection: sqlite3.Connection, tracking: Tracking) -> None:
        moved = connection.execute(
            "INSERT INTO tracking VALUES (?, ?) ON CONFLICT (application_name) DO UPDATE "
            "SET notification_id = excluded.notification_id "
            "WHERE tracking.notification_id < excluded.notification_id",
            (tracking.application_name, tracking.notification_id),
        ).rowcount
        if not moved:
            raise IntegrityError(
                f"{tracking.application_name} was already processed up to "
                f"{tracking.notification_id} or further"
            )

    def max_tracking_id(self, application_name: str) -> int | None:
        with self.database.read() as connection:
            row = connection.execute(
                "SELECT notification_id FROM tracking WHERE application_name = ?",
                (application_name,),
            ).fetchone()
        return row[0] if row else None


class SqliteProcessRecorder(SqliteTrackingRecorder, SqliteLog, ProcessRecorder):
    """Events and tracking in one transaction: the library's exactly-once processing."""

    schema = EVENTS_SCHEMA + TRACKING_SCHEMA

    def _insert_more(self, connection: sqlite3.Connection, **kwargs: Any) -> None:
        tracking: Tracking | None = kwargs.get("tracking")
        if tracking is not None:
            self._insert_tracking(connection, tracking)


class Factory(InfrastructureFactory[SqliteTrackingRecorder]):
    """The factory that the library constructs from the environment; see the module's docstring."""

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        name = self.env.get("SQLITE_DBNAME")
        if not name:
            raise OSError("SQLITE_DBNAME is not set; give it the path of the log's file")
        self._uuid_ids = self._originator_id_type() == "uuid"
        self.database = Database(name, lock_timeout_s=self._lock_timeout_s())

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        recorder = SqliteAggregateRecorder(
            self.database, table=f"stored_{purpose}", uuid_ids=self._uuid_ids
        )
        return self._created(recorder)

    def application_recorder(self) -> SqliteLog:
        return self._created(
            self._recorder_class(self.APPLICATION_RECORDER_TOPIC, SqliteLog)(
                self.database, uuid_ids=self._uuid_ids
            )
        )

    def tracking_recorder(
        self, tracking_recorder_class: type[SqliteTrackingRecorder] | None = None
    ) -> SqliteTrackingRecorder:
        chosen = tracking_recorder_class or self._recorder_class(
            self.TRACKING_RECORDER_TOPIC, SqliteTrackingRecorder
        )
        return self._created(chosen(self.database))

    def process_recorder(self) -> ProcessRecorder:
        return self._created(
            self._recorder_class(self.PROCESS_RECORDER_TOPIC, SqliteProcessRecorder)(
                self.database, uuid_ids=self._uuid_ids
            )
        )

    def close(self) -> None:
        self.database.close()

    def _created(self, recorder: _R) -> _R:
        if strtobool(self.env.get("CREATE_TABLE") or "yes"):
            recorder.create_table()
        return recorder

    def _recorder_class(self, key: str, default: type[_R]) -> type[_R]:
        topic = self.env.get(key)
        chosen: type[_R] = resolve_topic(topic) if topic else default
        if not issubclass(chosen, default):
            raise TypeError(f"{key}={topic} is not a subclass of {default.__name__}")
        return chosen

    def _originator_id_type(self) -> str:
        given = (self.env.get("ORIGINATOR_ID_TYPE") or "uuid").lower()
        if given not in ("uuid", "text"):
            raise OSError(f"ORIGINATOR_ID_TYPE is {given!r}; it takes 'uuid' or 'text'")
        return given

    def _lock_timeout_s(self) -> float | None:
        given = (self.env.get("SQLITE_LOCK_TIMEOUT") or "").strip()
        if not given:
            return None
        try:
            return int(given)
        except ValueError:
            raise OSError(
                f"SQLITE_LOCK_TIMEOUT is {given!r}; it takes a whole number of seconds"
            ) from None
