"""Every implementation of `EventLog` passes the contract suite that other packages can run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore.storage.database import Database
from runlore.storage.event_log import EventLog
from runlore.storage.memory_log import MemoryLog
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sqlite_log import SqliteLog
from runlore.testing.erasable_recorders import ErasableLogContract
from runlore.testing.logs import Clock
from runlore.testing.recorders import EventLogContract


class TestMemoryLog(EventLogContract):
    @pytest.fixture
    def log(self, clock: Clock, tmp_path: Path) -> Iterator[EventLog]:
        yield MemoryLog(clock=clock)


@pytest.mark.on_disk
class TestSqliteLog(EventLogContract):
    @pytest.fixture
    def log(self, clock: Clock, tmp_path: Path) -> Iterator[EventLog]:
        log = open_sqlite(tmp_path / "log.db", clock=clock)
        yield log
        log.close()


class TestSqliteLogInMemory(EventLogContract):
    survives_close = False  # SQLite frees its own memory with the connection.

    @pytest.fixture
    def log(self, clock: Clock, tmp_path: Path) -> Iterator[EventLog]:
        log = SqliteLog(Database(":memory:"), clock=clock)
        log.create_table()
        yield log
        log.close()


@pytest.mark.on_disk
class TestErasableLog(ErasableLogContract):
    @pytest.fixture
    def log(self, clock: Clock, tmp_path: Path) -> Iterator[EventLog]:
        log = open_sqlite(tmp_path / "log.db", clock=clock, erasable=True)
        yield log
        log.close()
