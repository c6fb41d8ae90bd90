"""Turns to write while a process that has its turn is stopped: who it is, and what goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore.storage import turns
from runlore.storage.errors import LogBusy
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.patience import OF_A_READ, Patience, Wait, patience
from runlore.storage.turn_holder import holder_in
from runlore.storage.write_queue import WriteQueue
from runlore.testing.logs import all_rows, new_event
from tests.processes import LIMIT_S, start_python, wait_until

STOPPED = """
import os, signal, sys
from pathlib import Path
from runlore.storage.open_sqlite import open_sqlite
from runlore.testing.logs import new_event
from runlore.storage import sqlite_log

def insert(self, connection, stamped):
    print("in its turn", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    inserted(self, connection, stamped)

inserted, sqlite_log.SqliteLog._insert = sqlite_log.SqliteLog._insert, insert
open_sqlite(Path(sys.argv[1])).append([new_event("run/stopped", 1)])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def stopped(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is stopped inside of its write: it has the queue's lock and SQLite's."""
    open_sqlite(path).append([new_event("run/a", 1)])
    with start_python(STOPPED, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in its turn\n"
        wait_until(lambda: is_stopped(process), "the process to be stopped")
        yield process
        process.kill()


def is_stopped(process: subprocess.Popen[str]) -> bool:
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


@pytest.mark.processes
def test_a_write_that_gives_up_says_who_has_the_turn_and_what_to_do(
    path: Path, stopped: subprocess.Popen[str]
) -> None:
    log = open_sqlite(path, lock_timeout_s=0.2)
    with pytest.raises(LogBusy) as caught:
        log.append([new_event("run/a", 2)])
    for part in (
        f"-c (pid {stopped.pid}, user ",
        f") on {os.uname().nodename} has it since 20",
        " UTC; that process is stopped: let it go on with ",
        f"`kill -CONT {stopped.pid}`, or end it with `kill -KILL {stopped.pid}`",
    ):
        assert part in str(caught.value)

    stopped.send_signal(signal.SIGCONT)
    assert stopped.wait(LIMIT_S) == 0
    log.append([new_event("run/a", 2)])
    assert [row.stream for row in all_rows(log)] == ["run/a", "run/stopped", "run/a"]
    log.close()


@pytest.mark.processes
def test_reads_of_a_process_go_on_while_one_of_its_threads_waits(
    path: Path, stopped: subprocess.Popen[str]
) -> None:
    log = open_sqlite(path)
    writer = threading.Thread(target=log.append, args=[[new_event("run/a", 2)]])
    writer.start()
    wait_until(
        lambda: any(each.name == "runlore-write-queue" for each in threading.enumerate()),
        "the write to wait",
    )

    assert len(all_rows(log)) == 1

    assert writer.is_alive()
    assert is_stopped(stopped)
    stopped.send_signal(signal.SIGCONT)
    writer.join(LIMIT_S)
    assert len(all_rows(log)) == 3
    log.close()


@pytest.mark.processes
def test_what_a_read_writes_does_not_wait_for_a_stopped_process(
    path: Path, stopped: subprocess.Popen[str]
) -> None:
    log = open_sqlite(path)
    with patience(OF_A_READ), pytest.raises(LogBusy) as caught:
        log.append([new_event("run/a", 2)])
    assert "its turn did not come for 0." in str(caught.value)
    assert is_stopped(stopped)
    log.close()


@pytest.mark.processes
def test_a_thread_behind_one_that_waits_gives_up_as_well(
    path: Path, stopped: subprocess.Popen[str]
) -> None:
    log = open_sqlite(path)
    writer = threading.Thread(target=log.append, args=[[new_event("run/a", 2)]])
    writer.start()
    wait_until(
        lambda: any(each.name == "runlore-write-queue" for each in threading.enumerate()),
        "the write to wait",
    )
    with patience(OF_A_READ), pytest.raises(LogBusy, match=f"pid {stopped.pid}"):
        log.append([new_event("run/a", 3)])
    stopped.kill()
    writer.join(LIMIT_S)
    assert [row.version for row in all_rows(log)] == [1, 2]
    log.close()


@pytest.mark.processes
def test_a_wait_of_some_seconds_warns_once_of_who_has_the_turn(
    path: Path, stopped: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_TELL_AFTER_S", 0.0)
    log = open_sqlite(path, lock_timeout_s=0.5)
    with pytest.warns(RuntimeWarning) as told:
        for version in (2, 3):
            with pytest.raises(LogBusy):
                log.append([new_event("run/a", version)])
    assert [f"pid {stopped.pid}" in str(warning.message) for warning in told] == [True]
    assert "waiting for the turn to write to" in str(told[0].message)
    log.close()


@pytest.mark.processes
def test_a_thread_that_is_to_end_stops_waiting(path: Path, stopped: subprocess.Popen[str]) -> None:
    log = open_sqlite(path)
    ends = threading.Event()
    problems: list[LogBusy] = []

    def write() -> None:
        with patience(Patience(is_over=ends.is_set)):
            try:
                log.append([new_event("run/a", 2)])
            except LogBusy as problem:
                problems.append(problem)

    writer = threading.Thread(target=write)
    writer.start()
    ends.set()
    writer.join(LIMIT_S)
    assert len(problems) == 1
    assert is_stopped(stopped)
    log.close()


def test_a_turn_leaves_no_name_behind(path: Path) -> None:
    log = open_sqlite(path)
    queue = WriteQueue(path.with_name("log.db-queue"))
    with log.database.write():
        holder = queue.holder()
        assert holder is not None
        assert holder.process.pid == os.getpid()
        assert not holder.is_stuck
    assert queue.holder() is None
    log.close()


@pytest.mark.parametrize(
    "change",
    [
        {"pid": -1},
        {"pid": os.getppid()},
        {"pid": 2**70},
        {"start": 1},
        {"boot_id": "another"},
        {"uid": 2**70},
        {"program": "\x1b[2J" + 5 * "x"},
    ],
    ids=str,
)
def test_a_name_that_somebody_made_up_is_shown_and_not_believed(
    path: Path, change: dict[str, object]
) -> None:
    log = open_sqlite(path, lock_timeout_s=0)
    name = path.with_name("log.db-queue")
    queue = WriteQueue(name)
    assert queue.acquire(Wait(0))
    said = json.loads(name.read_text())
    name.write_text(json.dumps(said | change) + "\n")
    with patience(OF_A_READ), pytest.raises(LogBusy) as caught:
        log.append([new_event("run/a", 1)])
    queue.release()
    assert "its turn did not come" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert "kill" not in str(caught.value)
    log.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"{}", b"[1]", b"\xff", b"[" * 100_000, b'{"pid": "1"}', b"1e999999"],
)
def test_a_file_that_names_nobody_names_nobody(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "queue"
    path.write_bytes(content)
    with path.open("rb") as file:
        assert holder_in(file.fileno()) is None
