"""The `eventsourcing` persistence module around the log in PostgreSQL.

Any application of the library runs on it with `PERSISTENCE_MODULE=runlore.storage.postgres` and the
variables of the library's own module: `POSTGRES_DBNAME`, `POSTGRES_HOST`, `POSTGRES_PORT`,
`POSTGRES_USER`, `POSTGRES_PASSWORD`, `POSTGRES_SCHEMA` (by default `runlore`),
`POSTGRES_LOCK_TIMEOUT` (whole seconds, default 30), `ORIGINATOR_ID_TYPE` (`uuid` or `text`) and
`CREATE_TABLE`. `POSTGRES_ENABLE_DB_FUNCTIONS` is refused: in that module it loses events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

from eventsourcing.persistence import (
    AggregateRecorder,
    IntegrityError,
    ProcessRecorder,
    StoredEvent,
    Tracking,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType, strtobool

from runlore.storage.postgresql.address import USUAL_SCHEMA, address_of
from runlore.storage.postgresql.connections import Connection, Connections
from runlore.storage.postgresql.log import PostgresLog
from runlore.storage.postgresql.schema import make_or_upgrade, statement
from runlore.storage.recorder import (
    LogRecorder,
    RecorderFactory,
    foreign,
    library_errors,
    shown_id,
    text_id,
)

_TRACKING: Final = """
    CREATE TABLE IF NOT EXISTS @schema@.tracking (
        application_name text PRIMARY KEY,
        notification_id bigint NOT NULL
    )
"""
_AGGREGATES: Final = """
    CREATE TABLE IF NOT EXISTS @schema@.@table@ (
        originator_id text COLLATE "C", originator_version bigint, topic text, state bytea,
        PRIMARY KEY (originator_id, originator_version)
    )
"""


class PostgresRecorder:
    """Shared by our recorders: connections, and the type of ids that the library sees."""

    tables: tuple[str, ...] = ()

    def __init__(self, connections: Connections, *, uuid_ids: bool = False) -> None:
        self.connections = connections
        self._show_id = shown_id(uuid_ids)

    def create_table(self) -> None:
        """Create the log and the recorder's tables if they do not exist yet."""
        address = self.connections.address

        def make(connection: Connection) -> None:
            make_or_upgrade(connection, address)
            for table in self.tables:
                connection.execute(statement(table, address))

        with library_errors():
            self.connections.read(make)

    def close(self) -> None:
        """Close the connections; the next use makes new ones."""
        self.connections.close()

    def _execute(self, connection: Connection, text: str, *params: object) -> list[tuple[Any, ...]]:
        cursor = connection.execute(statement(text, self.connections.address), params or None)
        return cursor.fetchall() if cursor.description else []


class PostgresAggregateRecorder(PostgresRecorder, AggregateRecorder):
    """Events in streams without a total order; the library keeps its snapshots here."""

    def __init__(
        self, connections: Connections, *, table: str = "stored_snapshots", uuid_ids: bool = False
    ) -> None:
        super().__init__(connections, uuid_ids=uuid_ids)
        self._table = '"' + table.replace('"', '""') + '"'
        self.tables = (_AGGREGATES.replace("@table@", self._table),)

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        columns = [list(column) for column in zip(*foreign(stored_events), strict=True)]
        insert = (
            f"INSERT INTO @schema@.{self._table} SELECT * FROM "
            "unnest(%b::text[], %b::bigint[], %b::text[], %b::bytea[])"
        )
        with library_errors():
            if columns:
                self.connections.change(lambda c, wait_ms: self._execute(c, insert, *columns))
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
        select = f"SELECT * FROM @schema@.{self._table} WHERE originator_id = %b "
        params: list[Any] = [text_id(originator_id)]
        for condition, bound in (("> %b", gt), ("<= %b", lte)):
            if bound is not None:
                select += f"AND originator_version {condition} "
                params.append(bound)
        select += f"ORDER BY originator_version {'DESC' if desc else 'ASC'} LIMIT %b"
        with library_errors():
            rows = self.connections.read(lambda c: self._execute(c, select, *params, limit))
        return [StoredEvent(self._show_id(row[0]), *row[1:]) for row in rows]


class PostgresApplicationRecorder(PostgresRecorder, LogRecorder):
    """The very log of workspaces, as the library sees it."""

    def __init__(self, connections: Connections, *, uuid_ids: bool = False) -> None:
        PostgresRecorder.__init__(self, connections, uuid_ids=uuid_ids)
        self.postgres_log = PostgresLog(connections)
        LogRecorder.__init__(self, self.postgres_log, uuid_ids=uuid_ids)

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        with library_errors():
            return self.postgres_log.append_foreign(
                foreign(stored_events), beside=lambda c: self._insert_more(c, **kwargs)
            )

    def _insert_more(self, connection: Connection, **kwargs: Any) -> None:
        """Store whatever else belongs in the transaction of `insert_events`."""


class PostgresTrackingRecorder(PostgresRecorder, TrackingRecorder):
    """The position up to which each upstream application was processed."""

    tables: tuple[str, ...] = (_TRACKING,)

    def insert_tracking(self, tracking: Tracking) -> None:
        with library_errors():
            self.connections.change(lambda c, wait_ms: self._insert_tracking(c, tracking))

    def _insert_tracking(self, connection: Connection, tracking: Tracking) -> None:
        moved = self._execute(
            connection,
            "INSERT INTO @schema@.tracking AS t VALUES (%b, %b) ON CONFLICT (application_name) "
            "DO UPDATE SET notification_id = excluded.notification_id "
            "WHERE t.notification_id < excluded.notification_id RETURNING 1",
            *(tracking.application_name, tracking.notification_id),
        )
        if not moved:
            raise IntegrityError(
                f"{tracking.application_name} was already processed up to "
                f"{tracking.notification_id} or further"
            )

    def max_tracking_id(self, application_name: str) -> int | None:
        select = "SELECT notification_id FROM @schema@.tracking WHERE application_name = %b"
        with library_errors():
            rows = self.connections.read(lambda c: self._execute(c, select, application_name))
        return rows[0][0] if rows else None


class PostgresProcessRecorder(
    PostgresApplicationRecorder, PostgresTrackingRecorder, ProcessRecorder
):
    """Events and tracking in one transaction: the library's exactly-once processing."""

    tables = (_TRACKING,)

    def _insert_more(self, connection: Connection, **kwargs: Any) -> None:
        tracking: Tracking | None = kwargs.get("tracking")
        if tracking is not None:
            self._insert_tracking(connection, tracking)


class Factory(RecorderFactory[PostgresTrackingRecorder]):
    """The factory that the library constructs from the environment; see the module's docstring."""

    lock_timeout = "POSTGRES_LOCK_TIMEOUT"

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        if strtobool(self.env.get("POSTGRES_ENABLE_DB_FUNCTIONS") or "no"):
            raise OSError(
                "POSTGRES_ENABLE_DB_FUNCTIONS is set: the functions of the library's own module "
                "take no lock, so that readers miss events; runlore has its own, unset it"
            )
        self._uuid_ids = self._has_uuid_ids()
        self.connections = Connections(
            address_of(self._uri()),
            wait_s=self._lock_timeout_s(),
            password=self.env.get("POSTGRES_PASSWORD") or None,
        )

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        table = "stored_aggregates" if purpose == "events" else f"stored_{purpose}"
        return self._created(
            PostgresAggregateRecorder(self.connections, table=table, uuid_ids=self._uuid_ids)
        )

    def application_recorder(self) -> PostgresApplicationRecorder:
        kind = self._recorder_class(self.APPLICATION_RECORDER_TOPIC, PostgresApplicationRecorder)
        return self._created(kind(self.connections, uuid_ids=self._uuid_ids))

    def tracking_recorder(
        self, tracking_recorder_class: type[PostgresTrackingRecorder] | None = None
    ) -> PostgresTrackingRecorder:
        chosen = tracking_recorder_class or self._recorder_class(
            self.TRACKING_RECORDER_TOPIC, PostgresTrackingRecorder
        )
        return self._created(chosen(self.connections))

    def process_recorder(self) -> ProcessRecorder:
        kind = self._recorder_class(self.PROCESS_RECORDER_TOPIC, PostgresProcessRecorder)
        return self._created(kind(self.connections, uuid_ids=self._uuid_ids))

    def close(self) -> None:
        self.connections.close()

    def _uri(self) -> str:
        name = self.env.get("POSTGRES_DBNAME")
        if not name:
            raise OSError("POSTGRES_DBNAME is not set; give it the name of a database")
        given = {
            key: self.env.get(f"POSTGRES_{key.upper()}") or None for key in ("host", "port", "user")
        }
        options = {key: value for key, value in given.items() if value is not None}
        options["schema"] = self.env.get("POSTGRES_SCHEMA") or USUAL_SCHEMA
        return f"postgresql:///{quote(name, safe='')}?{urlencode(options)}"
