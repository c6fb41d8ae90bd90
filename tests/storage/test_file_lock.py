"""Lock files: one holder at a time, and free when the last holder lets go."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from runlore.storage.file_lock import (
    is_at,
    is_locked,
    lock,
    locked,
    release,
    take,
    try_lock,
    unlock,
)
from tests.processes import LIMIT_S, Child


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def lock_of(path: Path) -> int:
    fd = try_lock(path)
    assert fd is not None
    return fd


def test_one_holder_at_a_time(path: Path) -> None:
    first = lock_of(path)
    assert try_lock(path) is None

    unlock(first)

    second = lock_of(path)
    unlock(second)


def test_a_released_lock_can_be_taken_again_by_its_descriptor(path: Path) -> None:
    fd = lock_of(path)
    release(fd)
    other = lock_of(path)
    assert not take(fd)

    unlock(other)

    assert take(fd)
    unlock(fd)


def test_whether_a_file_is_locked(path: Path) -> None:
    assert not is_locked(path)
    fd = lock_of(path)
    assert is_locked(path)

    unlock(fd)

    assert not is_locked(path)


def test_looking_makes_no_file_and_needs_no_right_to_write(path: Path) -> None:
    assert not is_locked(path)
    assert not path.exists()
    fd = lock_of(path)

    path.chmod(0o400)

    assert is_locked(path)
    unlock(fd)


def test_a_lock_that_is_not_to_be_made_is_missing(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        try_lock(path, flags=0)


def test_a_lock_file_has_the_mode_that_was_asked_for(path: Path) -> None:
    fd = try_lock(path, mode=0o600)
    assert fd is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    unlock(fd)


def test_a_block_holds_the_lock_until_its_end(path: Path) -> None:
    with locked(path) as fd:
        assert fd is not None
        with locked(path) as second:
            assert second is None
        assert is_locked(path)

    assert not is_locked(path)


def test_patience_ends(path: Path) -> None:
    fd = lock_of(path)
    assert lock(path, patience_s=0.02) is None
    unlock(fd)


def test_patience_is_rewarded(path: Path) -> None:
    first = lock_of(path)
    found: list[int | None] = []
    waiter = threading.Thread(target=lambda: found.append(lock(path, patience_s=LIMIT_S)))
    waiter.start()

    unlock(first)

    waiter.join(LIMIT_S)
    assert len(found) == 1
    assert found[0] is not None
    unlock(found[0])


def test_a_lock_whose_file_was_moved_away_is_that_of_another_file(path: Path) -> None:
    fd = lock_of(path)
    assert is_at(fd, path)
    path.rename(path.with_name("aside"))
    assert not is_at(fd, path)

    second = lock(path, patience_s=0)

    assert second is not None
    assert is_at(second, path)
    unlock(fd)
    unlock(second)


@pytest.mark.processes
def test_a_lock_that_was_let_go_is_free_though_a_fork_has_its_descriptor(path: Path) -> None:
    """As when a data loader is forked in another thread, just while a reader looks."""
    lock_fd = lock_of(path)
    read_end, write_end = os.pipe()
    child = Child(lambda: os.read(read_end, 1))

    unlock(lock_fd)
    again = try_lock(path)

    assert again is not None
    os.write(write_end, b"x")
    assert child.result() == b"x"
    for fd in (again, read_end, write_end):
        os.close(fd)
