"""Lock files: an exclusive `flock` on a side file, which the kernel drops when its holders die.

A lock is a descriptor, because some are handed to another process. Processes that were forked in
the meantime share the lock: `os.close` leaves it to them, `unlock` releases it for them as well.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from runlore.storage.held_path import AnyPath, HeldPath
from runlore.storage.system_errors import TOO_MANY_FILES, fault_of

_INTERVAL_S: Final = 0.005


def open_lock_file(path: AnyPath, *, mode: int = 0o666, flags: int = os.O_CREAT) -> int:
    """A descriptor of the file, not locked yet. `flags` and `mode` as for `os.open`."""
    return _opened(path, os.O_RDWR | flags, mode)


def take(fd: int) -> bool:
    """Lock the file unless another descriptor holds its lock; say whether it is locked now."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take_within(fd: int, seconds: float) -> bool:
    """As `take`, but tries again for this long."""
    deadline = time.monotonic() + seconds
    while not take(fd):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_INTERVAL_S)
    return True


def wait_and_take(fd: int) -> None:
    """Lock the file when its turn comes, in the kernel's order; without a timeout."""
    fcntl.flock(fd, fcntl.LOCK_EX)


def release(fd: int) -> None:
    """Let go of the lock, and keep the descriptor."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def try_lock(path: AnyPath, *, mode: int = 0o666, flags: int = os.O_CREAT) -> int | None:
    """A descriptor that holds the file's lock; None if another one holds it."""
    fd = open_lock_file(path, mode=mode, flags=flags)
    try:
        if take(fd):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def lock(path: AnyPath, *, patience_s: float, mode: int = 0o666) -> int | None:
    """As `try_lock`, but tries again for as long as the patience lasts.

    The file is at the path when this returns. Raises FileNotFoundError if its folder is gone.
    """
    deadline = time.monotonic() + patience_s
    while True:
        fd = try_lock(path, mode=mode)
        if fd is not None:
            is_there = False
            try:
                is_there = is_at(fd, path)
            finally:
                if not is_there:  # The folder was moved aside between opening and locking.
                    unlock(fd)
            if is_there:
                return fd
        elif time.monotonic() >= deadline:
            return None
        else:
            time.sleep(_INTERVAL_S)


def unlock(fd: int) -> None:
    """Let go of the lock, even if a process that was forked in the meantime shares it; close."""
    release(fd)
    os.close(fd)


@contextmanager
def locked(path: AnyPath, *, flags: int = os.O_CREAT) -> Iterator[int | None]:
    """A descriptor that holds the file's lock within the block; None if another one holds it."""
    fd = try_lock(path, flags=flags)
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def is_locked(path: AnyPath) -> bool:
    """Whether somebody holds the lock; also for those who may only read the file.

    Raises PermissionError for those who may not.
    """
    try:
        fd = _opened(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return has_lock(fd)
    finally:
        os.close(fd)


def has_lock(fd: int) -> bool:
    """Whether somebody holds the lock of an open file, through another descriptor."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    release(fd)
    return False


def is_at(fd: int, path: AnyPath) -> bool:
    """Whether the open file is still the one at the path.

    Raises OSError if that is not known, because this process may open no more files.
    """
    try:
        found = path.stat() if isinstance(path, HeldPath) else os.stat(path)
        return os.path.samestat(os.fstat(fd), found)
    except OSError as error:
        if fault_of(error) in TOO_MANY_FILES:
            raise
        return False  # It is gone, or a folder above it may not be entered any more.


def _opened(path: AnyPath, flags: int, mode: int = 0o666) -> int:
    if isinstance(path, HeldPath):
        return path.open(flags, mode)
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
