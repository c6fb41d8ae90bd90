"""Finding a text in a run's log."""

from __future__ import annotations

from typing import IO, Final, NamedTuple

_CHUNK_NBYTES: Final = 1 << 20
_LINE_MAX: Final = 2_000


class Hit(NamedTuple):
    """A line that has the text: its number from 1, the byte where it begins, and its beginning."""

    line: int
    start: int
    text: str


def hits_in(file: IO[bytes], text: str, most: int) -> tuple[int, list[Hit]]:
    """How many lines have the text, in whatever case its letters are, and the first of them.

    Costs the length of the file and holds one line, or of a longer one a megabyte, in memory.
    """
    wanted = text.casefold()
    found: list[Hit] = []
    total, number, start = 0, 1, 0
    while line := file.readline(_CHUNK_NBYTES):
        shown = line.decode("utf-8", "replace")
        if wanted in shown.casefold():
            total += 1
            if len(found) < most:
                found.append(Hit(number, start, shown.rstrip("\r\n")[:_LINE_MAX]))
        start += len(line)
        number += line.endswith(b"\n")
    return total, found
