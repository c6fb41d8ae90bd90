"""A sign of life on stderr while the tables catch up with the log for longer than a second.

A terminal gets one line that is written over and removed at the end. Anything else (a notebook, a
file, a pipe) gets a line after a second, and another one every ten seconds. stdout gets nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final, TextIO

Tell = Callable[[int], None]
"""Is told the position that a catch-up has reached, as often as it likes."""

Shown = Callable[[int, Callable[[], int]], AbstractContextManager[Tell]]
"""Gives the `Tell` of one catch-up, for its first position and a function that gives its last."""

_FIRST_S: Final = 1.0
_AGAIN_ON_TERMINAL_S: Final = 0.5
_AGAIN_S: Final = 10.0


class SignsOfLife:
    """Tells people how far one catch-up is. Nothing is told of one that takes no second.

    `head` gives the position at which the catch-up will end.
    """

    def __init__(
        self,
        start: int,
        head: Callable[[], int],
        *,
        stream: TextIO | None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._head = head
        # The command line guards its streams: this text has no character from a log.
        self._stream: TextIO | None = getattr(stream, "unguarded", stream)
        self._clock_s = clock_s
        self._began_s = clock_s()
        self._next_s = self._began_s + _FIRST_S
        self._line_is_open = False

    def tell(self, position: int) -> None:
        """Show that the catch-up has reached this position, unless it is too early to."""
        now_s = self._clock_s()
        if now_s < self._next_s:
            return
        with suppress(OSError, ValueError):  # It is closed: a question is answered all the same.
            self._show(position, now_s - self._began_s)
        again_s = _AGAIN_ON_TERMINAL_S if self._on_terminal() else _AGAIN_S
        self._next_s = self._clock_s() + again_s

    def end(self) -> None:
        """Remove the line from the terminal."""
        if self._line_is_open and self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.write("\r\x1b[K")
                self._stream.flush()

    def _show(self, position: int, took_s: float) -> None:
        if self._stream is None:
            return
        text = _said(position - self._start, max(1, self._head() - self._start), took_s)
        if self._on_terminal():
            self._line_is_open = True
            self._stream.write(f"\r{text}\x1b[K")
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()

    def _on_terminal(self) -> bool:
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:  # It is closed.
            return False


@contextmanager
def on_stderr(
    start: int, head: Callable[[], int], *, clock_s: Callable[[], float] = time.monotonic
) -> Iterator[Tell]:
    """Inside the block people see on stderr how far a catch-up is, if it takes long."""
    signs = SignsOfLife(start, head, stream=sys.stderr, clock_s=clock_s)
    try:
        yield signs.tell
    finally:
        signs.end()


@contextmanager
def nowhere(start: int, head: Callable[[], int]) -> Iterator[Tell]:
    """Inside the block nothing is shown."""
    yield lambda position: None


def _said(done: int, total: int, took_s: float) -> str:
    """What is shown; the rest is expected to go on as fast.

    >>> _said(250, 1000, 20.0)
    'runlore: reading 1,000 new events, 25 %, about 60 s left'
    """
    text = f"runlore: reading {total:,} new events"
    if done <= 0:
        return text
    left_s = took_s * max(0, total - done) / done
    return f"{text}, {min(100, 100 * done // total)} %, about {left_s:.0f} s left"
