"""The `eventsourcing` library's own test cases, unreduced, on the recorders that runlore uses.

`SqliteLog`, below `LogRecorder`, is the very class that the SDK writes through. The library's cases
print the times that they measure; nothing is asserted about those.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
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

from runlore.storage import sqlite
from runlore.storage.database import Database
from runlore.storage.memory_log import MemoryLog
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.recorder import LogRecorder
from runlore.storage.sqlite_log import SqliteLog


class WithFile(TestCase):
    """A fresh file for each test."""

    def setUp(self) -> None:
        # A case's thread may close its connection, which removes a file, while the folder goes.
        folder = TemporaryDirectory(ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name) / "log.db")
        self.new_file(self.path)
        super().setUp()

    def new_file(self, path: str) -> None:
        """What a test prepares with the path, before its case's own set-up."""

    def database(self) -> Database:
        database = Database(self.path)
        self.addCleanup(database.close)
        return database


class WithTextIds(persistence.RecorderTestCase):
    """Stream names as runlore writes them."""

    def new_originator_id(self) -> UUID | str:
        return f"run/{uuid4()}"


# --- recorders ----------------------------------------------------------------------------


class TestSqliteAggregateRecorder(WithFile, persistence.AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        recorder = sqlite.SqliteAggregateRecorder(self.database(), uuid_ids=True)
        recorder.create_table()
        return recorder


class TestSqliteLog(WithFile, persistence.ApplicationRecorderTestCase[ApplicationRecorder]):
    def create_recorder(self) -> ApplicationRecorder:
        recorder = sqlite.SqliteApplicationRecorder(self.database(), uuid_ids=True)
        recorder.create_table()
        return recorder

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestSqliteLogWithTextIds(
    WithFile, WithTextIds, persistence.ApplicationRecorderTestCase[LogRecorder]
):
    def create_recorder(self) -> LogRecorder:
        log = open_sqlite(self.path)
        self.addCleanup(log.close)
        return LogRecorder(log)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestSqliteLogInMemory(persistence.ApplicationRecorderTestCase[LogRecorder]):
    def create_recorder(self) -> LogRecorder:
        log = SqliteLog(Database(":memory:"))
        self.addCleanup(log.close)
        log.create_table()
        return LogRecorder(log, uuid_ids=True)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestMemoryLog(persistence.ApplicationRecorderTestCase[LogRecorder]):
    def create_recorder(self) -> LogRecorder:
        return LogRecorder(MemoryLog(), uuid_ids=True)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestMemoryLogWithTextIds(WithTextIds, persistence.ApplicationRecorderTestCase[LogRecorder]):
    def create_recorder(self) -> LogRecorder:
        return LogRecorder(MemoryLog())

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestPositionsOfSqliteLog(WithFile, persistence.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> ApplicationRecorder:
        recorder = sqlite.SqliteApplicationRecorder(self.database(), uuid_ids=True)
        recorder.create_table()
        return recorder


class TestPositionsOfMemoryLog(persistence.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> ApplicationRecorder:
        return LogRecorder(MemoryLog(), uuid_ids=True)


class TestSqliteTrackingRecorder(WithFile, persistence.TrackingRecorderTestCase):
    def create_recorder(self) -> TrackingRecorder:
        recorder = sqlite.SqliteTrackingRecorder(self.database())
        recorder.create_table()
        return recorder


class TestTrackingOfSqliteProcessRecorder(WithFile, persistence.TrackingRecorderTestCase):
    def create_recorder(self) -> TrackingRecorder:
        recorder = sqlite.SqliteProcessRecorder(self.database(), uuid_ids=True)
        recorder.create_table()
        return recorder


class TestSqliteProcessRecorder(WithFile, persistence.ProcessRecorderTestCase):
    def create_recorder(self) -> ProcessRecorder:
        recorder = sqlite.SqliteProcessRecorder(self.database(), uuid_ids=True)
        recorder.create_table()
        return recorder


class TestLogOfSqliteProcessRecorder(
    WithFile, persistence.ApplicationRecorderTestCase[sqlite.SqliteProcessRecorder]
):
    def create_recorder(self) -> sqlite.SqliteProcessRecorder:
        recorder = sqlite.SqliteProcessRecorder(self.database(), uuid_ids=True)
        recorder.create_table()
        return recorder

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


# --- the persistence module ---------------------------------------------------------------


class CustomTrackingRecorder(sqlite.SqliteTrackingRecorder):
    """What a user of the library might write."""


class TestFactory(WithFile, persistence.InfrastructureFactoryTestCase[sqlite.Factory]):
    def new_file(self, path: str) -> None:
        self.env = Environment(
            "TestCase",
            {"PERSISTENCE_MODULE": "runlore.storage.sqlite", "SQLITE_DBNAME": path},
        )

    def expected_factory_class(self) -> type[sqlite.Factory]:
        return sqlite.Factory

    def expected_aggregate_recorder_class(self) -> type[AggregateRecorder]:
        return sqlite.SqliteAggregateRecorder

    def expected_application_recorder_class(self) -> type[ApplicationRecorder]:
        return sqlite.SqliteApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[TrackingRecorder]:
        return sqlite.SqliteTrackingRecorder

    def tracking_recorder_subclass(self) -> type[TrackingRecorder]:
        return CustomTrackingRecorder

    def expected_process_recorder_class(self) -> type[ProcessRecorder]:
        return sqlite.SqliteProcessRecorder


class WithEnvironment(WithFile):
    """The persistence module chosen as users choose it, by environment variables."""

    def new_file(self, path: str) -> None:
        chosen = {"PERSISTENCE_MODULE": "runlore.storage.sqlite", "SQLITE_DBNAME": path}
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
    expected_factory_topic = get_topic(sqlite.Factory)


# One of its tests records the warning of the library's own deprecated attribute.
@pytest.mark.filterwarnings("always:'log' is deprecated:DeprecationWarning")
class TestApplication(WithEnvironment, application.ApplicationTestCase):
    pass


class TestEventSourcedProjection(WithFile, projection.EventSourcedProjectionTestCase):
    env: ClassVar[dict[str, str]] = {}

    def new_file(self, path: str) -> None:
        type(self).env = {
            "PERSISTENCE_MODULE": "runlore.storage.sqlite",
            "APPLICATION_SQLITE_DBNAME": path,
            "COUNTERS_SQLITE_DBNAME": f"{path}-counters",
        }
