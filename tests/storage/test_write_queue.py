"""The writers' queue: one at a time, in the kernel's order, and free when its holder dies."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore.storage.patience import Wait
from runlore.storage.write_queue import WriteQueue
from tests.descriptors import open_below
from tests.processes import LIMIT_S, in_child_without_threads, start_python, wait_until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db-queue"


@pytest.fixture
def queue(path: Path) -> Iterator[WriteQueue]:
    queue = WriteQueue(path)
    yield queue
    queue.forget()


def waiting_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "runlore-write-queue"]


def test_one_at_a_time(queue: WriteQueue, path: Path) -> None:
    other = WriteQueue(path)
    assert queue.acquire(Wait(0))
    assert not other.acquire(Wait(0.01))
    queue.release()
    assert other.acquire(Wait(LIMIT_S))
    assert not queue.acquire(Wait(0.01))
    other.release()
    other.forget()


def test_a_waiter_gets_its_turn_when_the_holder_lets_go(queue: WriteQueue, path: Path) -> None:
    came = threading.Event()

    def wait() -> None:
        other = WriteQueue(path)
        assert other.acquire(Wait(LIMIT_S))
        came.set()
        other.forget()

    assert queue.acquire(Wait(0))
    waiter = threading.Thread(target=wait)
    waiter.start()
    wait_until(lambda: bool(waiting_threads()), "the waiter to stand in the queue")
    assert not came.is_set()
    queue.release()
    assert came.wait(LIMIT_S)
    waiter.join(LIMIT_S)


HOLD = """
import sys
from pathlib import Path
from runlore.storage.write_queue import WriteQueue
from runlore.storage.patience import Wait
queue = WriteQueue(Path(sys.argv[1]))
print(queue.acquire(Wait(0)), flush=True)
sys.stdin.readline()
"""


@pytest.mark.processes
def test_the_kernel_drops_the_turn_of_a_process_that_dies(queue: WriteQueue, path: Path) -> None:
    with start_python(HOLD, path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert not queue.acquire(Wait(0.01))
        holder.kill()

    assert queue.acquire(Wait(LIMIT_S))
    queue.release()


def test_a_wait_that_was_given_up_takes_no_turn_later(queue: WriteQueue, path: Path) -> None:
    other, third = WriteQueue(path), WriteQueue(path)
    assert queue.acquire(Wait(0))
    assert not other.acquire(Wait(0.01))
    queue.release()
    wait_until(lambda: not waiting_threads(), "the given-up wait to end")
    assert third.acquire(Wait(0))
    third.forget()
    assert other.acquire(Wait(LIMIT_S))
    other.forget()


def test_a_wait_that_was_given_up_is_taken_up_again(queue: WriteQueue, path: Path) -> None:
    """So that one who asks again and again, as readers do, leaves no thread behind each time."""
    other = WriteQueue(path)
    assert queue.acquire(Wait(0))
    for _ in range(3):
        assert not other.acquire(Wait(0.01))
        assert len(waiting_threads()) == 1
    came = threading.Timer(0.05, queue.release)
    came.start()
    assert other.acquire(Wait(LIMIT_S))
    came.join()
    assert not queue.acquire(Wait(0))
    other.release()
    assert queue.acquire(Wait(LIMIT_S))
    queue.release()
    other.forget()


def test_releasing_what_is_not_held_is_nothing(queue: WriteQueue) -> None:
    queue.release()
    queue.forget()
    queue.forget()
    assert queue.acquire(Wait(0))
    queue.release()
    queue.release()


def test_a_queue_that_is_gone_leaves_no_file_open(path: Path) -> None:
    queue = WriteQueue(path)
    queue.acquire(Wait(0))
    assert open_below(path.parent) != []
    del queue
    assert open_below(path.parent) == []


def test_a_queue_in_a_folder_that_does_not_exist_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        WriteQueue(tmp_path / "missing" / "queue").acquire(Wait(0))


@pytest.mark.processes
def test_a_process_that_can_start_no_thread_waits_all_the_same(path: Path) -> None:
    with start_python(HOLD, path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"

        def child() -> tuple[bool, bool]:
            assert holder.stdin is not None
            queue = WriteQueue(path)
            in_vain = queue.acquire(Wait(0.02))
            os.write(holder.stdin.fileno(), b"\n")
            return in_vain, queue.acquire(Wait(LIMIT_S))

        assert in_child_without_threads(child) == (False, True)
