"""`-wal` and `-shm` of a log, removed while processes have it open."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from subprocess import Popen

import pytest

from runlore.storage import open_wal
from runlore.storage.event_log import DrainedMark
from runlore.storage.log_file import LogReplaced
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.open_wal import WalRemoved
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.verification import verify_log
from runlore.testing.logs import all_rows, new_event
from tests.processes import in_child, start_python

# Appends an event for each line "w", reads for each "r", and says the versions that it sees.
OTHER = """
import sys
from runlore.storage.open_sqlite import open_sqlite
from runlore.testing.logs import all_rows, new_event
log = open_sqlite(sys.argv[1])
print([row.version for row in all_rows(log)], flush=True)
for line in sys.stdin:
    if line.strip() == "w":
        log.append([new_event(sys.argv[2], len(log.read_stream(sys.argv[2])) + 1)])
    print([row.version for row in all_rows(log)], flush=True)
log.close()
print("closed", flush=True)
"""

STRANGER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("INSERT INTO drained VALUES ('stranger', 1, 1, 1)")
print("written", flush=True)
sys.stdin.read()
"""

REMOVED = [("-wal",), ("-shm",), ("-wal", "-shm")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite"


@pytest.fixture
def log(path: Path) -> Iterator[SqliteLog]:
    log = open_sqlite(path)
    log.append([new_event("run/a", 1)])
    yield log
    with suppress(WalRemoved):
        log.close()


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_wal, "_PATIENCE_S", 0.1)


class Other:
    """Another process that has the log open."""

    def __init__(self, path: Path, stream: str = "run/b") -> None:
        self.process: Popen[str] = start_python(OTHER, path, stream)
        self.said()

    def ask(self, what: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return self.said()

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.said() == "closed"
        assert self.process.wait() == 0
        assert self.process.stdout is not None
        self.process.stdout.close()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        with self.process:
            pass


def remove(path: Path, suffixes: tuple[str, ...]) -> None:
    for suffix in suffixes:
        path.with_name(path.name + suffix).unlink()


def versions(path: Path) -> list[int]:
    with closing(open_sqlite(path)) as log:
        assert verify_log(log).holds
        return [row.version for row in all_rows(log)]


@pytest.mark.parametrize("suffixes", REMOVED, ids="".join)
@pytest.mark.parametrize("use", ["append", "read", "close"])
def test_a_writer_writes_back_what_it_alone_can_read(
    log: SqliteLog, path: Path, suffixes: tuple[str, ...], use: str
) -> None:
    remove(path, suffixes)
    if use == "append":
        log.append([new_event("run/a", 2)])
    elif use == "read":
        assert len(all_rows(log)) == 1
    else:
        log.close()
    expected = [1, 2] if use == "append" else [1]

    with closing(sqlite3.connect(path)) as anybody:
        found = anybody.execute("SELECT originator_version FROM stored_events").fetchall()
    assert [version for (version,) in found] == expected
    log.append([new_event("run/a", len(expected) + 1)])
    log.close()
    assert versions(path) == [*expected, len(expected) + 1]


@pytest.mark.processes
@pytest.mark.parametrize("suffixes", REMOVED, ids="".join)
def test_nobody_opens_a_log_whose_wal_another_process_alone_can_find(
    path: Path, suffixes: tuple[str, ...], brief: None
) -> None:
    other = Other(path)
    assert other.ask("w") == "[1]"
    remove(path, suffixes)
    with pytest.raises(WalRemoved, match=rf"process {other.process.pid} has it open") as caught:
        open_sqlite(path)
    assert "Never remove these files" in str(caught.value)

    assert other.ask("w") == "[1, 2]"  # It notices, and writes all back.
    assert versions(path) == [1, 2]
    other.close()
    assert versions(path) == [1, 2]


@pytest.mark.processes
@pytest.mark.parametrize("suffixes", REMOVED, ids="".join)
def test_writers_and_readers_go_on_together(
    log: SqliteLog, path: Path, suffixes: tuple[str, ...]
) -> None:
    other = Other(path)
    assert other.ask("w") == "[1, 1]"
    remove(path, suffixes)

    log.append([new_event("run/a", 2)])
    assert other.ask("r") == "[1, 1, 2]"
    assert other.ask("w") == "[1, 1, 2, 2]"
    assert len(all_rows(log)) == 4
    third = Other(path, "run/c")
    assert third.ask("w") == "[1, 1, 2, 2, 1]"
    log.append([new_event("run/a", 3)])
    for each in (other, third):
        each.close()
    log.close()
    assert versions(path) == [1, 1, 2, 2, 1, 3]


@pytest.mark.processes
def test_what_a_killed_writer_left_is_there_if_another_process_had_it_open(
    log: SqliteLog, path: Path
) -> None:
    other = Other(path)
    assert other.ask("w") == "[1, 1]"
    remove(path, ("-wal", "-shm"))
    other.kill()

    assert len(all_rows(log)) == 2
    assert versions(path) == [1, 1]


@pytest.mark.processes
@pytest.mark.parametrize("ends", ["append", "fork"])
def test_what_another_program_wrote_instead_is_not_written_over(
    log: SqliteLog, path: Path, tmp_path: Path, ends: str
) -> None:
    assert log.database.truncate_wal(1.0)
    log.append([new_event("run/a", 2)])
    remove(path, ("-wal", "-shm"))
    with start_python(STRANGER, path) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "written\n"
        content = content_of(tmp_path)

        if ends == "append":
            with pytest.raises(WalRemoved, match="another program has written to the log since"):
                log.append([new_event("run/a", 3)])
            with pytest.raises(WalRemoved, match="is only in its memory"):
                log.close()
        else:
            in_child(lambda: None)
            with pytest.raises(LogReplaced):
                log.append([new_event("run/a", 3)])
        assert content_of(tmp_path) == content
        stranger.kill()
    log.close()
    assert content_of(tmp_path) == content
    with closing(open_sqlite(path)) as after:
        assert after.drained_marks() == {"stranger": DrainedMark(1, 1, 1)}
        assert len(all_rows(after)) == 1


def content_of(folder: Path) -> dict[str, bytes]:
    """The log and its WAL."""
    return {name: (folder / name).read_bytes() for name in ("log.sqlite", "log.sqlite-wal")}
