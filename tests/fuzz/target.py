"""A fuzz target: bytes that somebody else may have written, and what must hold of them.

`check` raises `Broken`, or an error that nobody documented, if it does not hold. What holds for
all targets is checked by `examine`: memory is bounded, and nothing outside of temporary folders is
touched. The fuzzer bounds the time.
"""

from __future__ import annotations

import resource
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from tests.fuzz.touches import touching_nothing_else

MEMORY_MAX_NBYTES: Final = 512 << 20
"""That one input may take."""

_MAXRSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024


class Broken(AssertionError):
    """A property of a target does not hold."""


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    `seeds` are made when they are asked for. `mutate` returns another input with the same
    structure: checksums, lengths and digests are right, so that the change is read. `regressions`
    are inputs that something was found with, each under a name that says what.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    mutate: Callable[[bytes, Random], bytes]
    regressions: Mapping[str, bytes] = field(default_factory=dict)
    max_nbytes: int = 1 << 13
    quick: int = 200
    """The inputs of the short form in `make test`: a second or less."""


def examine(target: Target, data: bytes) -> None:
    """Check one input. Raises Broken, or whatever the code raised and did not document."""
    before = _memory_from_now()
    with warnings.catch_warnings(), touching_nothing_else() as touched:
        warnings.simplefilter("ignore")  # Warnings are a documented answer to odd input.
        target.check(data)
    if touched:
        raise Broken(f"it touched {touched[0]}")
    grown = _highest_memory() - before
    if grown > MEMORY_MAX_NBYTES:
        raise Broken(f"it took {grown >> 20} MiB for {len(data)} bytes")


def _memory_from_now() -> int:
    """The memory that is taken now, and from which on the highest is measured (on Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_bytes(b"5")
    return _highest_memory()


def _highest_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
