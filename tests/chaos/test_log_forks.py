"""Forks in the middle of work, as PyTorch's data loaders do it; and trainers that are killed."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from itertools import count
from pathlib import Path

from runlore.domain.events import RunCreated, TagSet, WriterOpened
from runlore.domain.ids import run_stream, writer_stream
from runlore.domain.status import Status
from runlore.storage.journal import Journal, Pending
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.value_buffer import ValueBuffer
from runlore.storage.value_codec import Series
from runlore.testing.logs import check_head, new_events
from tests.chaos.rounds import FORKS
from tests.logged_values import records_in
from tests.processes import LIMIT_S, Child

LOSS = Series("loss")


def journal_of(log: SqliteLog) -> Journal:
    return Journal(
        log,
        lambda: WriterOpened(
            actor="a", host="h", boot_id="b", pid=os.getpid(), process="p", client_version="0"
        ),
    )


def test_forks_beside_threads_that_append_and_log_lose_nothing_on_either_side(
    tmp_path: Path,
) -> None:
    log = open_sqlite(tmp_path / "log.db", lock_timeout_s=20)
    journal = journal_of(log)
    buffer = ValueBuffer(journal)
    values = buffer.of_run("parent", fresh=True)
    stop = threading.Event()
    tags = [0]
    logged = [0]

    def change() -> None:
        while not stop.is_set():
            event = TagSet(key="n", value=str(tags[0]))
            journal.append([Pending(run_stream("parent"), tags[0] + 1, event)])
            tags[0] += 1

    def train() -> None:
        while not stop.is_set():
            values.log(LOSS, logged[0], None)
            logged[0] += 1
            if logged[0] % 500 == 0:
                buffer.flush()

    def work(name: str) -> str:
        journal.append([Pending(run_stream(name), 1, TagSet(key="n", value=None))])
        own = buffer.of_run(name)
        for n in range(100):
            own.log(LOSS, n, None)
        buffer.close("lab")
        log.close()
        return journal.writer_id

    threads = [threading.Thread(target=change), threading.Thread(target=train)]
    for thread in threads:
        thread.start()
    try:
        names = [f"worker{n}" for n in range(FORKS)]
        children = [Child(partial(work, name)) for name in names]
        writers = [child.result() for child in children]
    finally:
        stop.set()
        for thread in threads:
            thread.join(LIMIT_S)
    buffer.close("lab")

    check_head(log)
    assert len({journal.writer_id, *writers}) == FORKS + 1
    for writer in (journal.writer_id, *writers):
        assert len(log.read_stream(writer_stream(writer))) == 1
    assert len(log.read_stream(run_stream("parent"))) == tags[0]
    assert [r.value for r in records_in(log, "parent")] == list(range(logged[0]))
    for name in names:
        assert [r.value for r in records_in(log, name)] == list(range(100))
    log.close()


def trainer(path: Path, started: int, go: int, done: int) -> None:
    """Forks four workers, says so, and trains until it is killed."""
    log = open_sqlite(path)
    journal = journal_of(log)
    buffer = ValueBuffer(journal)
    created = RunCreated(
        run_id="r", experiment_id="e", experiment_name="lab", status=Status.RUNNING, root_id="r"
    )
    journal.append([Pending(f"run/{os.getpid()}", 1, created)])
    values = buffer.of_run("r", fresh=True)
    stop = threading.Event()
    forked = threading.Event()

    def train() -> None:
        for n in count():
            values.log(LOSS, n, None)
            log.append(new_events(f"run/trainer{os.getpid()}", [n + 1]))
            if stop.is_set():
                return
            if forked.is_set() and n % 5 == 0:
                buffer.flush()

    training = threading.Thread(target=train)
    training.start()
    for number in range(4):
        if os.fork() == 0:
            try:
                os.read(go, 1)  # Ends when the test says so.
                log.append(new_events(f"run/worker{os.getpid()}-{number}", [1, 2]))
                os.write(done, b"+")
            finally:
                os._exit(0)
    os.close(go)
    os.close(done)
    forked.set()
    os.write(started, b"+")
    training.join()


def test_a_killed_trainer_with_live_workers_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    other = open_sqlite(path, lock_timeout_s=20)
    for number in range(FORKS):
        started, go, done = os.pipe(), os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                for fd in (started[0], go[1], done[0]):
                    os.close(fd)
                trainer(path, started[1], go[0], done[1])
            finally:
                os._exit(1)
        for fd in (started[1], go[0], done[1]):
            os.close(fd)
        assert os.read(started[0], 1) == b"+"
        os.close(started[0])

        os.kill(pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        other.append(new_events("run/other", [number + 1]))  # LogBusy if the lock were held.

        os.close(go[1])  # All four workers, orphans now, append on.
        with os.fdopen(done[0], "rb") as answers:
            assert answers.read() == b"++++"
        check_head(other)
    other.close()
