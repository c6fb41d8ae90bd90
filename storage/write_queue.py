"""One queue for the writers of all processes: a kernel `flock` on a side file.

SQLite's own busy handler sleeps and retries, which is unfair: with four writers the worst
append took 743 ms, with this queue 28 ms, at the same throughput. The kernel drops the lock of a
process that dies, and not that of one that is stopped: so the holder writes its name into the file.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from functools import partial

from runlore.storage.file_lock import (
    open_lock_file,
    release,
    take,
    take_within,
    unlock,
    wait_and_take,
)
from runlore.storage.held_path import AnyPath
from runlore.storage.patience import Wait
from runlore.storage.turn_holder import BETWEEN_TURNS, TurnHolder, holder_in, line


class WriteQueue:
    """The queue of one log file. One thread at a time may acquire and release it."""

    def __init__(self, path: AnyPath) -> None:
        self._path = path
        self._fd: int | None = None
        self._standing: _Turn | None = None
        self._is_signed = False

    def acquire(self, wait: Wait) -> bool:
        """Wait for this process's turn, and say in the file who has it; False if it did not come.

        Raises OSError if the side file cannot be made.
        """
        if not self._came(wait):
            return False
        self._is_signed = True
        self._write(line(time.time_ns() // 1_000))
        return True

    def holder(self) -> TurnHolder | None:
        """The process that has its turn, if it says so. Callable from any thread."""
        try:
            fd = open_lock_file(self._path, flags=0)
        except OSError:
            return None
        try:
            return holder_in(fd)
        finally:
            os.close(fd)

    def _came(self, wait: Wait) -> bool:
        if self._standing is not None and self._standing.take_up():
            return self._stand(self._standing, wait)
        if self._fd is None:
            self._fd = open_lock_file(self._path)
        if take(self._fd):
            return True
        turn = _Turn(self._fd)
        try:
            threading.Thread(target=turn.wait, name="runlore-write-queue", daemon=True).start()
        except RuntimeError:
            # The process may be out of threads, and Python 3.12 starts none at exit, when the
            # last values are written. To try again and again is less fair.
            return wait.until(partial(take_within, self._fd))
        return self._stand(turn, wait)

    def _stand(self, turn: _Turn, wait: Wait) -> bool:
        """A blocking flock has no timeout, so another thread waits in the kernel's queue.

        If the wait is given up, that thread goes on waiting, and the next wait is with it.
        """
        came = False
        try:
            came = wait.until(turn.came.wait)
        finally:  # Also when Ctrl-C ends the wait: a turn that came later would never end.
            is_left = not came and turn.give_up()
            self._standing, self._fd = (turn, None) if is_left else (None, turn.fd)
        return not is_left

    def _write(self, text: bytes) -> None:
        assert self._fd is not None, "it is this process's turn"
        with suppress(OSError):  # A full disk: then the turn has no name.
            os.pwrite(self._fd, text, 0)

    def release(self) -> None:
        """Let the next writer go on. Does nothing if it is not this process's turn."""
        if self._fd is not None:
            if self._is_signed:
                self._write(BETWEEN_TURNS)
                self._is_signed = False
            release(self._fd)

    def forget(self) -> None:
        """Close the descriptor without unlocking: the lock may be another process's."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __del__(self) -> None:
        self.forget()


class _Turn:
    """One wait for the lock, which the waiter may give up, and take up again."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.came = threading.Event()
        self._lock = threading.Lock()
        self._is_given_up = False
        self._is_over = False

    def wait(self) -> None:
        wait_and_take(self.fd)
        with self._lock:
            if self._is_given_up:
                # Not only closed: a child that was forked in the meantime shares the lock.
                unlock(self.fd)
                self._is_over = True
            else:
                self.came.set()

    def give_up(self) -> bool:
        """Whether the wait was given up; False if the turn came at the last moment."""
        with self._lock:
            self._is_given_up = not self.came.is_set()
            return self._is_given_up

    def take_up(self) -> bool:
        """Whether the wait goes on; False if the turn has come while nobody waited."""
        with self._lock:
            self._is_given_up = False
            return not self._is_over
