"""Subscriptions by polling: what they read, what wakes them, and threads and forks around them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from eventsourcing.persistence import Notification

from runlore.storage.memory_log import MemoryLog
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.recorder import LogRecorder
from runlore.testing.logs import new_event, new_events
from tests.processes import LIMIT_S, Child, start_python, wait_until


class Recording(LogRecorder):
    """Remembers from where it was read."""

    def __init__(self) -> None:
        super().__init__(MemoryLog())
        self.starts: list[int | None] = []
        self.looks = 0

    def max_notification_id(self) -> int | None:
        self.looks += 1
        return super().max_notification_id()

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        self.starts.append(start)
        return super().select_notifications(
            start, limit, stop, topics, inclusive_of_start=inclusive_of_start
        )


@pytest.fixture
def eager_switches() -> Iterator[None]:
    """Threads take turns every few instructions, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_wait_for_a_rare_topic_reads_no_event_twice() -> None:
    recorder = Recording()
    recorder.log.append(new_events("run/a", range(1, 601)))
    found: list[int] = []

    def wait() -> None:
        with recorder.subscribe(topics=["run.rare"]) as subscription:
            found.append(next(subscription).id)

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(lambda: recorder.looks > 3, "three looks at the log")
    recorder.log.append([new_event("run/a", 601, "run.rare")])
    waiting.join(LIMIT_S)

    assert found == [601]
    assert recorder.starts == [0, 600]


def test_many_events_come_in_pages_and_none_is_left_out() -> None:
    recorder = Recording()
    recorder.log.append(new_events("run/a", range(1, 1_201)))
    with recorder.subscribe() as subscription:
        found = [next(subscription).originator_version for _ in range(1_200)]
    assert found == list(range(1, 1_201))
    assert recorder.starts == [0, 500, 1_000]


@pytest.mark.processes
def test_a_commit_of_another_process_arrives(tmp_path: Path) -> None:
    log = open_sqlite(tmp_path / "log.db")
    code = """
import sys
from runlore.storage.open_sqlite import open_sqlite
from runlore.testing.logs import new_events
sys.stdin.readline()
open_sqlite(sys.argv[1]).append(new_events("run/a", [1, 2]))
"""
    with (
        start_python(code, tmp_path / "log.db") as writer,
        LogRecorder(log).subscribe() as subscription,
    ):
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.close()
        assert [next(subscription).originator_version for _ in range(2)] == [1, 2]
    log.close()


@pytest.mark.usefixtures("eager_switches")
def test_an_append_beside_new_subscriptions_never_fails() -> None:
    log = MemoryLog()
    stop = threading.Event()

    def subscribe() -> None:
        kept = []
        while not stop.is_set():
            kept.append(LogRecorder(log).subscribe())
            del kept[:-50]

    threads = [threading.Thread(target=subscribe) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for version in range(1, 1_001):
            log.append([new_event("run/a", version)])
    finally:
        stop.set()
        for thread in threads:
            thread.join(LIMIT_S)


@pytest.mark.processes
@pytest.mark.usefixtures("eager_switches")
def test_a_child_can_append_whatever_its_parents_subscriptions_were_doing() -> None:
    """A thread that is just going to sleep holds a lock, which the child would inherit."""
    log = MemoryLog()
    subscriptions = [LogRecorder(log).subscribe() for _ in range(3)]
    threads = [threading.Thread(target=list, args=(one,)) for one in subscriptions]
    for thread in threads:
        thread.start()
    try:
        children = [
            Child(lambda: len(log.append([new_event(f"run/{os.getpid()}", 1)]))) for _ in range(30)
        ]
        assert [child.result() for child in children] == [1] * 30
    finally:
        for one in subscriptions:
            one.stop()
        for thread in threads:
            thread.join(LIMIT_S)
