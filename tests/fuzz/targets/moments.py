"""The text of a moment: a time, a position, or a checkpoint, as `--as-of` and `as_of` take it.

It is a position of the log, or InvalidInput, MomentInFuture or LogReadOnly. As of a time the answer
is the last event that was recorded up to it, and it never changes.
"""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from runlore.domain.errors import InvalidInput, MomentInFuture
from runlore.engine.moments import parsed, position_of
from runlore.storage.errors import LogReadOnly
from runlore.storage.memory_log import MemoryLog
from runlore.testing.logs import Clock, new_events
from tests.fuzz.mutations import NUMBERS, TEXTS, mutated_bytes, mutated_text
from tests.fuzz.target import Broken, Target

EVENTS: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ROOT: Final = "MC4FW41JHNNfwRtVH8OnSGTCBRXbHVnDAs9XfQGPj9E="
_WORDS: Final = (
    *TEXTS,
    *map(str, NUMBERS),
    *("2023-11-14T22:13:20+00:00", "2023-11-14T22:13:20.000003Z", "T", "Z", "+00:00", "-23:59"),
    *("+24:00", "24:00:00", "2023-W46-2", "20231114T221320Z", "0001-01-01T00:00:00+14:00"),
    *("9999-12-31T23:59:59-14:00", "9999-12-31", ",5", ".5", ":60", "\u0665", "\u00b2", "\uff11"),
    *(
        "runlore.log/x",
        "\n",
        f"\n{EVENTS}\n",
        _ROOT,
        "\n\n\u2014 key AAAA\n",
        " ",
        "now",
        "yesterday",
    ),
)


def seeds() -> list[bytes]:
    """Times in several forms, positions, and checkpoints."""
    texts = ["0", "3", "5", "6", "-1", "2023-11-14T22:13:20+00:00", "2023-11-14 22:13:20.000003Z"]
    texts += ["2023-11-14T22:13:20", "20231114T221320,5+0100", "2023-W46-2T01Z", "2100-01-01T00Z"]
    texts += [
        f"runlore.log/x\n{EVENTS}\n{_ROOT}\n\n\u2014 key AAAA\n",
        "x\n9\n\n",
        "checkpoint.txt",
    ]
    return [text.encode() for text in texts]


def mutate(data: bytes, random: Random) -> bytes:
    """A text with other parts of times, positions and checkpoints."""
    if random.random() < 0.05:
        return mutated_bytes(data, random)
    return mutated_text(data.decode(errors="replace"), random, _WORDS).encode()


def check(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    if _is_elsewhere(text):
        return
    clock = Clock()
    log = MemoryLog(clock=clock)
    times = []
    for event in new_events("run/r", range(1, EVENTS + 1)):
        clock.now += 1
        times += [log.append([event])[0].recorded_at]
    clock.now += 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint.txt"
        checkpoint.write_bytes(data)
        for moment in (text, checkpoint):
            _check_moment(log, clock, moment, times)


def _is_elsewhere(text: str) -> bool:
    """Whether it is the path of something that exists: a device or a pipe may wait for ever."""
    try:
        return "\n" not in text and os.path.lexists(text)
    except ValueError:
        return False


def _check_moment(log: MemoryLog, clock: Clock, moment: str | Path, times: list[int]) -> None:
    try:
        position = position_of(log, moment)
    except (InvalidInput, MomentInFuture, LogReadOnly):
        return
    if not 0 <= position <= log.head().size:
        raise Broken(f"{moment!r} is position {position} of {log.head().size}")
    found = parsed(log, moment)
    if isinstance(found, datetime):
        before = sum(time <= (found - _EPOCH) // timedelta(microseconds=1) for time in times)
        if position != before:
            raise Broken(f"{moment!r} is position {position}, and {before} events are older")
    elif found != position:
        raise Broken(f"{moment!r} is {found!r}, and position {position}")
    clock.now -= 10**12  # The next events are those of a slow clock.
    log.append(new_events(f"run/{log.head().size}", [1]))
    if position_of(log, moment) != position:
        raise Broken(f"{moment!r} was position {position}, and is not any more")


TARGET: Final = Target(
    "moments",
    check,
    seeds,
    mutate,
    regressions={"a time in the year 10000 of UTC": b"9999-12-31T23:59:59-14:00"},
    max_nbytes=512,
    quick=300,
)
