"""The console of a run: what this process prints while the run goes on, in a file that grows.

    <workspace>/consoles/<run id>.txt

A thread takes what was printed, four times a second, folds and masks it, and appends it to the
file: the program waits for nothing. It reads a standard output that is a plain file from that file,
and has a relay where it is a pipe, subprocesses included; else it gets copies of what passes
Python's streams. When the run ends, the file becomes one of the run's files. If the process is
killed, at most the last quarter of a second is missing, and whoever finds the run lost keeps the
file.

The first 4 MiB of the text are kept, and the last 1 MiB.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from runlore.domain.console_text import ConsoleText
from runlore.engine.console.relays import RELAYS
from runlore.engine.console.streams import Name, copy, end_copy
from runlore.storage import fork_guard, interruptions
from runlore.storage.held_path import HeldPath

HEAD_MAX_NBYTES: Final = 4 << 20
TAIL_MAX_NBYTES: Final = 1 << 20
_INTERVAL_S: Final = 0.25
_WAITING_MAX_CHARS: Final = 8 << 20
_CHUNK_NBYTES: Final = 1 << 20
_WAIT_MAX_S: Final = 2.0
_NAMES: Final[tuple[Name, ...]] = ("stdout", "stderr")


class Console:
    """The console of one run. Raises OSError if its file cannot be made."""

    fork_order = fork_guard.ForkOrder.CAPTURE

    def __init__(self, path: HeldPath) -> None:
        path.parent.make_folder()
        self._fd = path.open(os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._text = ConsoleText()
        self._waiting: deque[str] = deque()
        self._waiting_chars = 0
        self._written = os.fstat(self._fd).st_size
        self._tail: deque[str] = deque()
        self._tail_chars = 0
        self._left_out = 0
        self._is_forked = False
        self._lock = interruptions.new_lock(self)
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._tails = {name: tail for name in _NAMES if (tail := _file_of(name)) is not None}
        known = {*self._tails, *RELAYS.take(self.take)}
        self._copied = tuple(name for name in _NAMES if name not in known)
        if len(self._tails) == 2 and len({tail.identity for tail in self._tails.values()}) == 1:
            self._tails.pop("stderr").close()
        for name in self._copied:
            copy(name, self.take)
        fork_guard.guard(self)
        self._start()

    @property
    def descriptor(self) -> int:
        """That of the file."""
        return self._fd

    @property
    def waiting(self) -> bool:
        """Whether the thread has not taken all that was printed."""
        return bool(self._waiting)

    def take(self, text: str) -> None:
        """Keep a printed text. Neither raises nor waits."""
        if self._is_forked:
            self._keep(text)
        elif self._waiting_chars < _WAITING_MAX_CHARS:
            self._waiting_chars += len(text)
            self._waiting.append(text)

    def close(self) -> None:
        """Copy no more, and write all that was printed. Idempotent; never raises."""
        for name in self._copied:
            end_copy(name, self.take)
        RELAYS.end(self.take)
        for name in self._tails:  # What waits in Python's buffer is not in the file yet.
            with suppress(Exception):
                getattr(sys, name).flush()
        self._end_thread()
        with self._lock, suppress(OSError, ValueError):
            if self._fd >= 0:
                self._drain()
                self._append_tail()
                self._append(self._text.finish())
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)
        for tail in self._tails.values():
            tail.close()

    # --- the thread -------------------------------------------------------------------------

    def _start(self) -> None:
        thread = threading.Thread(
            target=interruptions.as_helper, args=(self._work,), name="runlore-console", daemon=True
        )
        with suppress(RuntimeError):  # The process has no threads left: `close` writes all.
            thread.start()
            self._thread = thread

    def _work(self) -> None:
        while not self._stopping:
            with suppress(Empty):
                self._bell.get(timeout=_INTERVAL_S)
            with suppress(Exception), self._lock:  # Whatever it is: the program goes on printing.
                self._drain()

    def _end_thread(self) -> None:
        self._stopping = True
        self._bell.put(None)
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(_WAIT_MAX_S)

    def _drain(self) -> None:
        for tail in self._tails.values():
            if self._is_long:
                self._left_out += tail.skip_to_last(TAIL_MAX_NBYTES)
            while chunk := tail.read():
                self._keep(chunk)
        while self._waiting:
            text = self._waiting.popleft()
            self._waiting_chars -= len(text)
            self._keep(text)

    @property
    def _is_long(self) -> bool:
        return self._written >= HEAD_MAX_NBYTES

    def _keep(self, text: str) -> None:
        if not self._is_long:
            self._append(self._text.feed(text))
            return
        self._tail.append(text)  # As it is: most of it will be left out.
        self._tail_chars += len(text)
        while self._tail_chars > TAIL_MAX_NBYTES and len(self._tail) > 1:
            dropped = self._tail.popleft()
            self._tail_chars -= len(dropped)
            self._left_out += len(dropped)

    def _append(self, text: str) -> None:
        content = text.encode(errors="replace")
        self._written += len(content)
        while content:
            content = content[os.write(self._fd, content) :]

    def _append_tail(self) -> None:
        if self._left_out:
            self._append(f"\n... {self._left_out:,} characters left out ...\n")
        while self._tail:
            self._append(self._text.feed(self._tail.popleft()))

    # --- forks ------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Write all, so that the child has nothing to write once more."""
        self._end_thread()
        self._lock.acquire()
        with suppress(Exception):
            if self._fd >= 0:
                self._drain()

    def after_fork_in_parent(self) -> None:
        self._lock.release()
        self._stopping = False
        if self._fd >= 0 and not self._is_forked:
            self._start()

    def after_fork_in_child(self) -> None:
        """Append what the child prints at once: it has no thread. Files are read by the parent."""
        self._lock = interruptions.new_lock(self)
        self._is_forked = True
        self._text = ConsoleText()


class _Tail:
    """What is appended to a plain file from now on, in pieces."""

    def __init__(self, fd: int, found: os.stat_result) -> None:
        self._fd = fd
        self._at = found.st_size
        self.identity = found.st_dev, found.st_ino

    def read(self) -> str:
        chunk = os.pread(self._fd, _CHUNK_NBYTES, self._at)
        self._at += len(chunk)
        return chunk.decode(errors="replace")

    def skip_to_last(self, nbytes: int) -> int:
        """Pass over all but the last bytes; returns how many."""
        skipped = max(0, os.fstat(self._fd).st_size - nbytes - self._at)
        self._at += skipped
        return skipped

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._fd)


def _file_of(name: Name) -> _Tail | None:
    """The plain file that a standard stream goes to; None if it is a terminal, a pipe, or other."""
    number = 1 if name == "stdout" else 2
    stream = getattr(sys, name)
    try:
        if stream is None or stream.fileno() != number:
            return None
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            return None
        stream.flush()
        fd = os.open(f"/proc/self/fd/{number}", os.O_RDONLY | os.O_CLOEXEC)
        if not os.path.samestat(os.fstat(fd), found):
            os.close(fd)
            return None
        return _Tail(fd, os.fstat(fd))
    except (OSError, ValueError, AttributeError):
        return None
