"""How long the writes of this thread wait for their turn: as long as the log says, or less.

A read may have something to write: the values of a killed process, the loss of a run. It must not
wait for other writers, one of which may be stopped. So such a write gives up soon, at once if the
turn is with a process that does not move, and a later read tries again.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from types import FrameType
from typing import Final, NamedTuple

READ_WAIT_S: Final = 1.0
"""The longest wait of a read: many writers, each with a slow disk, have their turns in less."""

_LOOK_INTERVAL_S: Final = 0.1


class Patience(NamedTuple):
    """How long writes wait: at most `at_most_s` in all, and perhaps also `for_stuck` processes.

    `is_over` is asked several times a second whether to give up.
    """

    at_most_s: float = float("inf")
    for_stuck: bool = True
    is_over: Callable[[], bool] = lambda: False


OF_A_READ: Final = Patience(READ_WAIT_S, for_stuck=False)
"""The patience of what a read writes on its way."""

OF_AN_EXIT: Final = Patience(5.0)
"""The patience of a process that ends: what it cannot write by then waits in its spool."""


class _Left:
    """The rest of a thread's patience, and the frame of the block that has it."""

    def __init__(self, patience: Patience, block: FrameType | None, outer: _Left | None) -> None:
        self.patience = patience
        self.seconds = patience.at_most_s
        self.block = block
        self.outer = outer


_left: ContextVar[_Left | None] = ContextVar("patience", default=None)


def _of_this_thread() -> _Left:
    left = _left.get()
    while left is not None and not _is_called_by(left.block):
        left = left.outer
        _left.set(left)
    return left or _Left(Patience(), None, None)


def _is_called_by(block: FrameType | None) -> bool:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame is not block:
        frame = frame.f_back
    return frame is not None


class patience:  # noqa: N801 (it is used as a function)
    """Within the block, writes of this thread have this patience, all of them together.

    A signal handler that raises may keep the block's end from being noted, so the block counts only
    as long as its function is being called.
    """

    def __init__(self, changed: Patience) -> None:
        self._changed = changed

    def __enter__(self) -> None:
        self._outer = _left.get()
        _left.set(_Left(self._changed, sys._getframe(1), self._outer))

    def __exit__(self, *_: object) -> None:
        _left.set(self._outer)


def is_of_a_read() -> bool:
    """Whether what this thread writes is part of a read, which waits for no stuck process."""
    return not _of_this_thread().patience.for_stuck


def is_over() -> bool:
    """Whether this thread is to give up what takes long: the process is about to end."""
    return _of_this_thread().patience.is_over()


def longest_wait_s(usual_s: float) -> float:
    """How long this thread waits now, if one with all patience waits `usual_s`."""
    return min(usual_s, _of_this_thread().seconds)


class Wait:
    """One wait for a turn: at most `usual_s`, or as long as this thread's patience lasts.

    `look` is called several times a second with the seconds waited so far, and returns whether the
    one that is waited for is stuck.
    """

    def __init__(self, usual_s: float, look: Callable[[float], bool] = lambda waited_s: False):
        self._left = _of_this_thread()
        self._look = look
        self._began = time.monotonic()
        self._at_most_s = min(usual_s, self._left.seconds, threading.TIMEOUT_MAX)

    @property
    def took_s(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began

    def until(self, came: Callable[[float], bool]) -> bool:
        """Wait until it `came`, which is given the seconds to wait; False if that is given up."""
        if came(0.0):
            return True
        waits_for_stuck, is_over = self._left.patience[1:]
        waited_before_s = self.took_s
        try:
            while True:
                is_stuck = self._look(self.took_s)
                left_s = self._at_most_s - self.took_s
                if left_s <= 0 or is_over() or (is_stuck and not waits_for_stuck):
                    return False
                if came(min(left_s, _LOOK_INTERVAL_S)):
                    return True
        finally:
            self._left.seconds -= self.took_s - waited_before_s
