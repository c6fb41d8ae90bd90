"""Streams that show harmful characters instead of passing them to a terminal or pipe.

`main` puts them in the place of stdout and stderr, so that whatever prints (a command, a message,
a warning, click's help, a traceback, a command of another package) shows text from a log as text.
Only tables, progress bars and scripts' logs, which escape their own texts, write past them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from runlore.domain.visible_text import visible_lines


class GuardedStream:
    """A text stream to which only visible text is written; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def unguarded(self) -> TextIO:
        """The stream itself."""
        return self._stream

    def write(self, text: str) -> int:
        """Write the text; harmful characters, and those that the encoding lacks, are escaped."""
        self._stream.write(encodable(visible_lines(text), self._stream))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer" and "ascii" in (self.encoding or "").lower():
            raise AttributeError(name)  # click would write UTF-8 to it, past this guard.
        return getattr(self._stream, name)


@contextmanager
def guarded() -> Iterator[None]:
    """Guard stdout and stderr within the block."""
    held = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        cast(TextIO, None if stream is None else GuardedStream(unguarded(stream)))
        for stream in held
    )
    try:
        yield
    finally:
        sys.stdout, sys.stderr = held


def unguarded(stream: TextIO) -> TextIO:
    """The stream behind the guard, for text whose harmful characters are escaped already."""
    found: TextIO = getattr(stream, "unguarded", stream)
    return found


def encodable(text: str, stream: TextIO) -> str:
    """The text with the characters that the stream's encoding lacks escaped."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
