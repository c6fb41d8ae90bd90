"""What a process begins, and what has returned to it, in a file outside of the workspace.

Each line is one `write`, so what has returned is known although the process is killed. An
operation that was begun and neither returned nor failed may have happened, but only once.

A value is a number that no other value of the soak has: of its process, its thread, and its
place among that thread's values. As a float it is exact.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.chaos.soak.control import Control

T = TypeVar("T")

PLACE_BITS: Final = 24
"""A value without these bits tells its process and lane."""

_LANE_BITS: Final = 2
_FRAMES_SHOWN: Final = 8
FORKS_MAX: Final = 64
"""A process's forked children have the numbers after its own, so its own is a multiple of this."""


def first_value(process: int, lane: int) -> int:
    """The first value of a process's lane; below 2**53 for two million processes."""
    return (process << _LANE_BITS | lane) << PLACE_BITS


class Ledger:
    """The ledger that a process writes."""

    def __init__(self, path: Path, control: Control) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        self._control = control
        self._numbers = count()

    def do(self, lane: int, kind: str, facts: Sequence[Any], call: Callable[[], T]) -> T | None:
        """Do it, with a note before and after it; an error is noted, and gives None."""
        number = next(self._numbers)
        self._control.begin(lane)
        try:
            self._write(number, "begun", kind, facts)
            result = call()
            self._write(number, "done", result if isinstance(result, str) else None)
            return result
        except Exception as error:
            words = f"{str(error)[:400]} ({_frames(error)})"
            self._write(number, "failed", type(error).__name__, words)
            return None
        finally:
            self._control.end(lane)

    def note(self, what: str, text: str) -> None:
        """Note a warning ("warned"), an answer that is wrong ("wrong"), or the end ("leaving")."""
        self._write(next(self._numbers), what, text[:400])

    def _write(self, *words: Any) -> None:
        os.write(self._fd, json.dumps(words, separators=(",", ":")).encode() + b"\n")


def _frames(error: BaseException) -> str:
    """Where it was raised, the innermost call first."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_SHOWN:]
    return " < ".join(f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in frames[::-1])


@dataclass
class Operation:
    """An operation of a ledger; `error` is the class and the message if it failed."""

    kind: str
    facts: list[Any]
    done: bool = False
    result: str | None = None
    error: tuple[str, str] | None = None
    at_risk: bool = False
    """It is of values that were said to wait, and no flush has returned since."""


@dataclass
class Book:
    """A ledger that was read; `left` if its process ended its work by itself."""

    name: str
    operations: dict[int, Operation] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    left: bool = False

    def of_kind(self, *kinds: str) -> Iterator[Operation]:
        """The operations of these kinds, in the order in which they were begun."""
        return (one for one in self.operations.values() if one.kind in kinds)


def read_book(path: Path) -> Book:
    """The operations of a ledger; a line that its process was killed in does not count."""
    book = Book(path.stem)
    waits = False
    risks: dict[int, Operation] = {}
    safe_after: dict[int, list[int]] = {}  # By the flush that makes them safe.
    for line in path.read_bytes().split(b"\n")[:-1]:
        number, what, *rest = json.loads(line)
        if what == "begun":
            one = book.operations[number] = Operation(*rest)
            if one.kind in ("flush", "end"):
                safe_after[number] = list(risks)
        elif what == "done":
            one = book.operations[number]
            one.done, one.result = True, rest[0]
            if number in safe_after:
                for safe in safe_after.pop(number):
                    if (was := risks.pop(safe, None)) is not None:
                        was.at_risk = False
                waits = False
            elif waits and one.kind == "values":
                one.at_risk = True
                risks[number] = one
        elif what == "failed":
            book.operations[number].error = rest[0], rest[1]
        elif what == "warned":
            book.warnings.append(rest[0])
            waits = waits or "keep waiting" in rest[0]
        elif what == "leaving":
            book.left = True
        else:
            book.wrong.append(rest[0])
    return book
