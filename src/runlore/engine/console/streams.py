"""Copies of what this process prints, for the consoles of its runs.

While a console is open, a stream stands in the place of `sys.stdout`, and one in that of
`sys.stderr`. It passes on what it gets first, to the very stream that was there, and then hands a
copy to the consoles: whatever becomes of these, the program's own output is as it was. Everything
else of the stream, such as `isatty()`, `fileno()` and `encoding`, is the original's.

Not copied is what goes past Python's streams: subprocesses, C libraries, and handlers of `logging`
that hold the original stream. Where the output is a file, `console.py` reads that instead.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Literal

Name = Literal["stdout", "stderr"]
Take = Callable[[str], None]

_lock: Final = threading.RLock()
_takers: Final[dict[Name, tuple[Take, ...]]] = {"stdout": (), "stderr": ()}
_streams: Final[dict[Name, _Copying]] = {}
_passing: Final = threading.local()


def copy(name: Name, take: Take) -> None:
    """Hand copies of what is printed to `take`, which must neither raise nor wait."""
    with _lock:
        original = getattr(sys, name)
        if original is None:  # A daemon without a standard output prints nothing.
            return
        if name not in _streams:
            _streams[name] = _Copying(original, name)
            setattr(sys, name, _streams[name])
        _takers[name] = (*_takers[name], take)


def end_copy(name: Name, take: Take) -> None:
    """Copy no more; the last one puts the original stream back, if ours is still there."""
    with _lock:
        _takers[name] = tuple(other for other in _takers[name] if other != take)
        if not _takers[name] and name in _streams:
            stream = _streams.pop(name)
            if getattr(sys, name) is stream:
                setattr(sys, name, stream.original)


class _Copying:
    """A text stream that also hands out copies.

    Other code may keep it, or put a stream of its own around it, around which a later console puts
    another one: what passes through both is copied once.
    """

    def __init__(self, original: Any, name: Name) -> None:
        self.original = original
        self._name = name

    def write(self, text: str) -> int:
        if getattr(_passing, "on", False):
            return int(self.original.write(text))
        _passing.on = True
        try:
            written: int = self.original.write(text)
        finally:
            _passing.on = False
        self._hand_out(text)
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *raised: object) -> None:
        self.original.close()

    def __iter__(self) -> Any:
        return iter(self.original)

    def _hand_out(self, text: str) -> None:
        for take in _takers[self._name]:
            with suppress(Exception):  # The program has printed; nothing else matters to it.
                take(text)
