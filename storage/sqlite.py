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
from functools import partial
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    AggregateRecorder,
    IntegrityError,
    ProcessRecorder,
    StoredEvent,
    Tracking,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType

from runlore.storage.database import Database
from runlore.storage.recorder import (
    LogRecorder,
    RecorderFactory,
    foreign,
    library_errors,
    shown_id,
    text_id,
)
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.sqlite_schema import EVENTS_SCHEMA, TRACKING_SCHEMA, aggregates_schema


class SqliteRecorder:
    """Shared by our recorders: a database, and the type of originator ids that the library sees."""

    schema: tuple[str, ...] = ()

    def __init__(self, database: Database, *, uuid_ids: bool = False) -> None:
        self.database = database
        database.expect(self.schema)
        self._show_id = shown_id(uuid_ids)

    def create_table(self) -> None:
        """Create the recorder's tables if they do not exist yet."""
        self.database.add_schema(self.schema)

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        self.database.close()


class SqliteAggregateRecorder(SqliteRecorder, AggregateRecorder):
    """Events in streams without a total order; the library keeps its snapshots here."""

    def __init__(
        self, database: Database, *, table: str = "stored_events", uuid_ids: bool = False
    ) -> None:
        self._table = table
        self.schema = aggregates_schema(table)
        super().__init__(database, uuid_ids=uuid_ids)

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        with library_errors(), self.database.write() as connection:
            connection.executemany(
                f"INSERT INTO {self._table} VALUES (?, ?, ?, ?)", foreign(stored_events)
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
        statement = (
            f"SELECT originator_id, originator_version, topic, state FROM {self._table} "
            "WHERE originator_id = ? "
        )
        params: list[str | int] = [text_id(originator_id)]
        if gt is not None:
            statement += "AND originator_version > ? "
            params.append(gt)
        if lte is not None:
            statement += "AND originator_version <= ? "
            params.append(lte)
        statement += f"ORDER BY originator_version {'DESC' if desc else 'ASC'} "
        if limit is not None:
            statement += "LIMIT ?"
            params.append(limit)
        with library_errors(), self.database.read() as connection:
            rows = connection.execute(statement, params).fetchall()
        return [StoredEvent(self._show_id(row[0]), *row[1:]) for row in rows]


class SqliteApplicationRecorder(SqliteRecorder, LogRecorder):
    """The very log of workspaces, as the library sees it."""

    schema: tuple[str, ...] = EVENTS_SCHEMA

    def __init__(self, database: Database, *, uuid_ids: bool = False) -> None:
        SqliteRecorder.__init__(self, database, uuid_ids=uuid_ids)
        self.sqlite_log = SqliteLog(database)
        LogRecorder.__init__(self, self.sqlite_log, uuid_ids=uuid_ids)

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        with library_errors():
            return self.sqlite_log.append_foreign(
                foreign(stored_events), beside=partial(self._insert_more, **kwargs)
            )

    def _insert_more(self, connection: sqlite3.Connection, **kwargs: Any) -> None:
        """Store whatever else belongs in the transaction of `insert_events`."""


class SqliteTrackingRecorder(SqliteRecorder, TrackingRecorder):
    """The position up to which each upstream application was processed."""

    schema: tuple[str, ...] = TRACKING_SCHEMA

    def insert_tracking(self, tracking: Tracking) -> None:
        with library_errors(), self.database.write() as connection:
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
        with library_errors(), self.database.read() as connection:
            row = connection.execute(
                "SELECT notification_id FROM tracking WHERE application_name = ?",
                (application_name,),
            ).fetchone()
        return row[0] if row else None


class SqliteProcessRecorder(SqliteApplicationRecorder, SqliteTrackingRecorder, ProcessRecorder):
    """Events and tracking in one transaction: the library's exactly-once processing."""

    schema = EVENTS_SCHEMA + TRACKING_SCHEMA

    def _insert_more(self, connection: sqlite3.Connection, **kwargs: Any) -> None:
        tracking: Tracking | None = kwargs.get("tracking")
        if tracking is not None:
            self._insert_tracking(connection, tracking)


class Factory(RecorderFactory[SqliteTrackingRecorder]):
    """The factory that the library constructs from the environment; see the module's docstring."""

    lock_timeout = "SQLITE_LOCK_TIMEOUT"

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        name = self.env.get("SQLITE_DBNAME")
        if not name:
            raise OSError("SQLITE_DBNAME is not set; give it the path of the log's file")
        self._uuid_ids = self._has_uuid_ids()
        self.database = Database(name, lock_timeout_s=self._lock_timeout_s())

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        recorder = SqliteAggregateRecorder(
            self.database, table=f"stored_{purpose}", uuid_ids=self._uuid_ids
        )
        return self._created(recorder)

    def application_recorder(self) -> SqliteApplicationRecorder:
        return self._created(
            self._recorder_class(self.APPLICATION_RECORDER_TOPIC, SqliteApplicationRecorder)(
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
