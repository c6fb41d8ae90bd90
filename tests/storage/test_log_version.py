"""Logs of a newer runlore in a SQLite file: read, not written to; and fenced from the first one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runlore.domain.events import EVENT_TYPES, LOG_VERSION, Event, log_version_of
from runlore.storage.codec import encode_event, encode_state, log_version_in
from runlore.storage.database import Database
from runlore.storage.errors import LogTooNew, NotALog
from runlore.storage.journal import Journal, Pending
from runlore.storage.memory_log import MemoryLog
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.verification import verify_log
from runlore.testing.logs import all_rows, asking_for, check_head, new_event, new_events
from tests.golden import make as golden


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def log(path: Path) -> Iterator[SqliteLog]:
    log = open_sqlite(path)
    yield log
    log.close()


def test_a_log_of_a_newer_runlore_is_opened_and_left_as_it_is(path: Path, log: SqliteLog) -> None:
    rows = log.append([new_event("run/a", 1), asking_for(2, "run/a", 2)])
    log.close()
    content = path.read_bytes()

    older = open_sqlite(path, known_version=1)

    assert (older.version, older.known_version) == (2, 1)
    assert all_rows(older) == list(rows)
    with pytest.raises(
        LogTooNew, match="has version 2, and this runlore knows logs up to version 1"
    ):
        older.append([new_event("run/a", 3)])
    older.close()
    assert path.read_bytes() == content


def test_who_has_the_log_open_notices_at_the_next_write(path: Path, log: SqliteLog) -> None:
    older = open_sqlite(path, known_version=1)
    older.append(new_events("run/a", [1]))
    log.append([asking_for(2, "run/b", 1)])

    for _ in range(2):
        with pytest.raises(LogTooNew):
            older.append(new_events("run/a", [2]))

    log.append(new_events("run/a", [2]))
    assert [row.version for row in older.read_stream("run/a")] == [1, 2]
    older.close()
    check_head(log)


def test_a_newer_log_in_an_erasable_file_makes_no_keys(path: Path) -> None:
    newer = open_sqlite(path, erasable=True)
    newer.append([asking_for(2, "run/b", 1)])
    older = open_sqlite(path, known_version=1)

    with pytest.raises(LogTooNew):
        older.key_of("a")

    older.close()
    with newer.database.read() as connection:
        assert connection.execute("SELECT run_id FROM run_keys").fetchall() == [("b",)]
    newer.close()


MOVE_OF_THE_FIRST_RUNLORE = (
    "UPDATE log_head SET size = ?, position = ?, recorded_at = ?, frontier = ?"
)


def test_the_first_runlore_cannot_move_the_head_of_a_log_of_version_2(
    path: Path, log: SqliteLog
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as first:
        log.append(new_events("run/a", [1]))
        head = log.head()
        moved = (head.size, head.position, head.recorded_at, head.frontier.to_bytes())
        first.execute(MOVE_OF_THE_FIRST_RUNLORE, moved)
        log.append([asking_for(2, "run/a", 2)])

        with pytest.raises(sqlite3.IntegrityError, match="upgrade runlore"):
            first.execute(MOVE_OF_THE_FIRST_RUNLORE, (3, 3, *moved[2:]))

    log.append(new_events("run/a", [3]))
    check_head(log)


@pytest.mark.parametrize(
    "tamper",
    [
        "PRAGMA user_version=1",
        "ALTER TABLE log_head DROP COLUMN fence",
    ],
)
def test_who_takes_the_fence_away_is_found(path: Path, log: SqliteLog, tamper: str) -> None:
    log.append([asking_for(2)])
    assert verify_log(log).holds
    log.close()

    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute(tamper)

    [found] = verify_log(log).findings
    assert found.message.startswith("log_head differs from the one that runlore makes")


def test_a_further_column_is_refused(path: Path, log: SqliteLog) -> None:
    log.append([asking_for(2)])
    log.close()
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute("ALTER TABLE log_head ADD COLUMN more INTEGER")

    with pytest.raises(NotALog, match="defines the table 'log_head' otherwise"):
        log.head()


def test_a_log_of_version_2_is_opened_through_the_library(path: Path, log: SqliteLog) -> None:
    log.append([asking_for(2)])

    again = SqliteLog(Database(path))
    again.create_table()

    again.append(new_events("run/a", [1]))
    again.close()
    check_head(log)


def test_a_version_that_was_lowered_is_found(path: Path, log: SqliteLog) -> None:
    created = golden.path_of("run.created", 2).read_bytes()
    log.append([new_event("run/r", 1, "run.created", created)])  # Which would ask for version 2.

    [found] = verify_log(log).findings

    assert found.message.startswith("the log's version is 1, but events in it ask for 2")


def test_a_version_is_raised_from_any_to_any(path: Path, log: SqliteLog) -> None:
    for number, version in enumerate([2, 2, 3], 1):
        writer = open_sqlite(path, known_version=3)
        writer.append([asking_for(version, "run/a", number)])
        writer.close()
    assert log.version == 3
    check_head(log)


def test_who_is_slower_to_create_a_log_leaves_its_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as faster:  # It had no id yet when the slower one looked.
        faster.execute("PRAGMA user_version=2")

    with closing(open_sqlite(path)) as slower:
        assert slower.version == 2


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.topic)
def test_each_version_of_a_topic_says_which_log_it_asks_for(kind: type[Event]) -> None:
    asked = kind.log_versions

    assert len(asked) == kind.schema_version
    assert list(asked) == sorted(asked)
    assert set(asked) <= set(range(1, LOG_VERSION + 1))
    for version in range(1, kind.schema_version + 1):
        assert log_version_of(kind.topic, version) == asked[version - 1]
        stored = golden.path_of(kind.topic, version).read_bytes()
        assert log_version_in(kind.topic, stored) == asked[version - 1]


def test_unknown_topics_and_versions_ask_for_nothing() -> None:
    assert log_version_of("run.promoted", 1) == 1
    assert log_version_in("run.created", encode_state(99, {})) == 1
    assert log_version_in("run.promoted", b"?") == 1


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.topic)
def test_a_journal_appends_each_event_with_the_version_that_it_asks_for(
    kind: type[Event],
) -> None:
    log = MemoryLog()
    event = golden.EXPECTED[kind.topic, kind.schema_version]
    opened = golden.EXPECTED["writer.opened", 1]
    journal = Journal(log, lambda: opened)  # type: ignore[arg-type, return-value]  # it is that event

    journal.append([Pending("run/r", 1, event)])

    assert log.version == max(kind.log_versions[-1], opened.log_versions[-1])
    assert log.read_stream("run/r")[0].state == encode_event(event)
