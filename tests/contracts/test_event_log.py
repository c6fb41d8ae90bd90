"""Every implementation of `EventLog` passes the contract suite that other packages can run."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from runlore.storage.database import Database
from runlore.storage.event_log import EventLog, NewEvent
from runlore.storage.memory_log import MemoryLog
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sqlite_log import SqliteLog
from runlore.testing.erasable_recorders import ErasableLogContract
from runlore.testing.logs import Clock, new_event
from runlore.testing.recorders import EventLogContract
from runlore.testing.waiting import LIMIT_S


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

    def test_very_many_events_take_the_memory_of_a_few(self, log: EventLog) -> None:
        def events() -> Iterator[NewEvent]:
            for number in range(400):
                yield new_event(f"run/{number}", state=b"\x80" + bytes(100_000))

        tracemalloc.start()
        try:
            log.append_all(events)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 20_000_000

    def test_other_threads_read_while_very_many_events_are_appended(self, log: EventLog) -> None:
        seen: list[int] = []

        def events() -> Iterator[NewEvent]:
            for number in range(2_500):
                yield new_event(f"run/{number}")
            reader = Thread(target=lambda: seen.append(log.head().position))
            reader.start()
            reader.join(LIMIT_S)

        log.append_all(events)

        assert (seen, log.head().position) == ([0], 2_500)


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
