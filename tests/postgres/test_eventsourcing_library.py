"""The `eventsourcing` library's own test cases, unreduced, on the recorders in PostgreSQL."""

from __future__ import annotations

import os
from typing import ClassVar
from unittest import TestCase
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    ProcessRecorder,
    TrackingRecorder,
)
from eventsourcing.tests import application, persistence, projection
from eventsourcing.utils import Environment, get_topic

from runlore.storage import postgres
from runlore.storage.postgresql.address import address_of
from runlore.storage.postgresql.connections import Connections
from runlore.storage.recorder import LogRecorder
from tests.postgres.logs import log_at
from tests.postgres.server import Server

pytestmark = [pytest.mark.long, pytest.mark.processes]


class OnServer(TestCase):
    """A fresh schema for each test."""

    server: ClassVar[Server]

    @pytest.fixture(autouse=True)
    def _server(self, server: Server) -> None:
        type(self).server = server

    def setUp(self) -> None:
        self.schema = f"test_{os.urandom(8).hex()}"
        self.new_schema()
        super().setUp()

    def new_schema(self) -> None:
        """What a test prepares with the schema, before its case's own set-up."""

    def settings(self, prefix: str = "", more: str = "") -> dict[str, str]:
        """The variables of the persistence module."""
        values = {
            "DBNAME": "postgres",
            "HOST": "127.0.0.1",
            "PORT": str(self.server.port),
            "USER": "postgres",
            "SCHEMA": self.schema + more,
        }
        return {f"{prefix}POSTGRES_{name}": value for name, value in values.items()}

    def connections(self) -> Connections:
        connections = Connections(address_of(self.server.uri(self.schema)))
        self.addCleanup(connections.close)
        return connections


class WithTextIds(persistence.RecorderTestCase):
    """Stream names as runlore writes them."""

    def new_originator_id(self) -> UUID | str:
        return f"run/{uuid4()}"


# --- recorders ----------------------------------------------------------------------------


class TestPostgresAggregateRecorder(OnServer, persistence.AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        recorder = postgres.PostgresAggregateRecorder(self.connections(), uuid_ids=True)
        recorder.create_table()
        return recorder


class TestPostgresLog(OnServer, persistence.ApplicationRecorderTestCase[ApplicationRecorder]):
    def create_recorder(self) -> ApplicationRecorder:
        recorder = postgres.PostgresApplicationRecorder(self.connections(), uuid_ids=True)
        recorder.create_table()
        return recorder

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestPostgresLogWithTextIds(
    OnServer, WithTextIds, persistence.ApplicationRecorderTestCase[LogRecorder]
):
    def create_recorder(self) -> LogRecorder:
        log = log_at(self.server.uri(self.schema))
        self.addCleanup(log.close)
        return LogRecorder(log)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestPositionsOfPostgresLog(OnServer, persistence.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> ApplicationRecorder:
        recorder = postgres.PostgresApplicationRecorder(self.connections(), uuid_ids=True)
        recorder.create_table()
        return recorder


class TestPostgresTrackingRecorder(OnServer, persistence.TrackingRecorderTestCase):
    def create_recorder(self) -> TrackingRecorder:
        recorder = postgres.PostgresTrackingRecorder(self.connections())
        recorder.create_table()
        return recorder


class TestPostgresProcessRecorder(OnServer, persistence.ProcessRecorderTestCase):
    def create_recorder(self) -> ProcessRecorder:
        recorder = postgres.PostgresProcessRecorder(self.connections(), uuid_ids=True)
        recorder.create_table()
        return recorder


# --- the persistence module ---------------------------------------------------------------


class CustomTrackingRecorder(postgres.PostgresTrackingRecorder):
    """What a user of the library might write."""


class TestFactory(OnServer, persistence.InfrastructureFactoryTestCase[postgres.Factory]):
    def new_schema(self) -> None:
        module = {"PERSISTENCE_MODULE": "runlore.storage.postgres"}
        self.env = Environment("TestCase", {**module, **self.settings()})

    def expected_factory_class(self) -> type[postgres.Factory]:
        return postgres.Factory

    def expected_aggregate_recorder_class(self) -> type[AggregateRecorder]:
        return postgres.PostgresAggregateRecorder

    def expected_application_recorder_class(self) -> type[ApplicationRecorder]:
        return postgres.PostgresApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[TrackingRecorder]:
        return postgres.PostgresTrackingRecorder

    def tracking_recorder_subclass(self) -> type[TrackingRecorder]:
        return CustomTrackingRecorder

    def expected_process_recorder_class(self) -> type[ProcessRecorder]:
        return postgres.PostgresProcessRecorder

    def test_functions_of_the_librarys_own_module_are_refused(self) -> None:
        env = {**self.settings(), "POSTGRES_ENABLE_DB_FUNCTIONS": "y"}
        with pytest.raises(OSError, match="readers miss events"):
            postgres.Factory(Environment("TestCase", env))


class WithEnvironment(OnServer):
    """The persistence module chosen as users choose it, by environment variables."""

    def new_schema(self) -> None:
        chosen = {"PERSISTENCE_MODULE": "runlore.storage.postgres", **self.settings()}
        before = {name: os.environ.get(name) for name in chosen}
        os.environ.update(chosen)
        self.addCleanup(_restore, before)


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


class TestExampleApplication(WithEnvironment, application.ExampleApplicationTestCase):
    expected_factory_topic = get_topic(postgres.Factory)


# One of its tests records the warning of the library's own deprecated attribute.
@pytest.mark.filterwarnings("always:'log' is deprecated:DeprecationWarning")
class TestApplication(WithEnvironment, application.ApplicationTestCase):
    pass


class TestEventSourcedProjection(OnServer, projection.EventSourcedProjectionTestCase):
    env: ClassVar[dict[str, str]] = {}

    def new_schema(self) -> None:
        type(self).env = {
            "PERSISTENCE_MODULE": "runlore.storage.postgres",
            **self.settings("APPLICATION_"),
            **self.settings("COUNTERS_", "_counters"),
        }
