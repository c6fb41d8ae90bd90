"""A process that runs one query itself, as the command line does, and its tiny watcher.

The watcher is the process that was started; the query runs in its forked child. So it sees every
end of it, and can say in the end what happened, whatever state the child is in.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

from runlore.projections.query_limits import (
    QueryLimits,
    QueryTimedOut,
    QueryTooLarge,
    is_out_of_memory,
)
from runlore.projections.sql_process.life import end_with_parent, offer_to_the_kernel
from runlore.projections.sql_process.memory import data_limited, resident_nbytes

_LOOK_S: Final = 0.02
_GRACE_S: Final = 0.5
"""How long a query may take to end by itself after its time, or after Ctrl-C."""

# A terminal, and others that signal a whole group, send these to the child as well. So the child
# lets SIGINT pass, and hears of it by the other name, once.
_FORWARDED: Final = {
    signal.SIGINT: signal.SIGUSR1,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGHUP: signal.SIGHUP,
}

FAILED: Final = 1
INTERRUPTED: Final = 130


class Unwatched:
    """The query of a process that is not ours to end: only DuckDB's own limits hold."""

    def __init__(self, query: str, limits: QueryLimits) -> None:
        self._query = query
        self._limits = limits

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around the query. Raises QueryTooLarge if it needs too much memory."""
        from runlore.projections.user_sql import QueryFailed

        try:
            yield
        except MemoryError as error:
            raise QueryTooLarge(self._query, self._limits.memory_nbytes) from error
        except QueryFailed as error:
            if not is_out_of_memory(error.reason):
                raise
            raise QueryTooLarge(self._query, self._limits.memory_nbytes) from error


_BEGUN: Final = b"b"
_ENDED: Final = b"e"


class Watched(Unwatched):
    """The query of a process that its watcher ends if it does not obey."""

    def __init__(self, query: str, limits: QueryLimits, told: int) -> None:
        super().__init__(query, limits)
        self._told = told

    @contextmanager
    def running(self) -> Iterator[None]:
        offer_to_the_kernel()  # Not before: scripts may have been started until now.
        os.write(self._told, _BEGUN)
        try:
            with super().running(), data_limited(self._limits):
                yield
        finally:
            os.write(self._told, _ENDED)


def watched(query: str, limits: QueryLimits) -> Unwatched:
    """Go on in a child of this process, which only watches it from now on and ends as it does.

    Call it before anything is opened and any thread is started.
    """
    if not hasattr(signal, "sigtimedwait"):
        return Unwatched(query, limits)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    life, held = os.pipe()
    told, tells = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    pid = os.fork()
    if pid:
        os.close(life)
        os.close(tells)
        _watch(_Watch(pid, told, query, limits))
    signal.signal(signal.SIGUSR1, _interrupt)
    signal.signal(signal.SIGINT, _pass)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.close(held)
    os.close(told)
    end_with_parent(life)
    return Watched(query, limits, tells)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _pass(number: int, frame: FrameType | None) -> None:
    """Not SIG_IGN, which programs inherit that are started here."""


def _watch(watch: _Watch) -> NoReturn:
    code = FAILED
    try:
        code = watch.exit_code()
    finally:
        os._exit(code)  # What this process has open is its child's.


class _Watch:
    def __init__(self, pid: int, told: int, query: str, limits: QueryLimits) -> None:
        self._pid = pid
        self._told = told
        self._query = query
        self._limits = limits
        self._has_begun = False
        self._deadline = float("inf")
        self._interrupt_ends = float("inf")
        os.set_blocking(told, False)

    def exit_code(self) -> int:
        """That of the child, when it has ended or was ended."""
        while True:
            self._forward(signal.sigtimedwait(_FORWARDED, _LOOK_S))
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            if ended:
                return self._code(os.waitstatus_to_exitcode(status))
            self._listen()
            now = time.monotonic()
            if now > self._interrupt_ends:
                return self._killed(INTERRUPTED)
            if now > self._deadline:
                return self._killed(FAILED, self._timed_out())
            if self._has_begun and resident_nbytes(self._pid) > self._limits.of_resident_nbytes:
                return self._killed(FAILED, self._too_large())

    def _forward(self, got: signal.struct_siginfo | None) -> None:
        if got is None:
            return
        number = signal.Signals(got.si_signo)
        if number == signal.SIGINT:
            if self._interrupt_ends < float("inf"):
                return
            self._interrupt_ends = time.monotonic() + _GRACE_S
        os.kill(self._pid, _FORWARDED[number])

    def _listen(self) -> None:
        """Learn where the child is: before its query, within it, or after it."""
        try:
            said = os.read(self._told, 2)
        except BlockingIOError:
            return
        if _BEGUN in said:
            self._has_begun = True
            timeout_s = self._limits.timeout_s
            if timeout_s is not None:
                self._deadline = time.monotonic() + timeout_s + _GRACE_S
        if _ENDED in said:
            self._deadline = float("inf")

    def _killed(self, code: int, error: Exception | None = None) -> int:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        return _said(code, error)

    def _code(self, code: int) -> int:
        if code >= 0:
            return code
        if code == -signal.SIGABRT and self._has_begun:  # So ends a failed allocation.
            return _said(FAILED, self._too_large())
        return 128 - code

    def _timed_out(self) -> QueryTimedOut:
        assert self._limits.timeout_s is not None
        return QueryTimedOut(self._query, self._limits.timeout_s)

    def _too_large(self) -> QueryTooLarge:
        return QueryTooLarge(self._query, self._limits.memory_nbytes)


def _said(code: int, error: Exception | None) -> int:
    if error is not None:
        sys.stderr.write(f"error: {error}\n")
        sys.stderr.flush()
    return code
