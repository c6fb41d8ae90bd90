"""The text of a filter, as `--where` and saved views have it.

It is refused with InvalidInput, or its canonical text says the same, and a workspace can be asked
for the runs that meet it, now and as of the past.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Final

from runlore.domain.errors import InvalidInput
from runlore.domain.filtering.parser import parse_filter
from runlore.projections.filters import RunFilter
from runlore.projections.reader import RunsReader
from runlore.storage.memory_log import MemoryLog
from tests.fuzz.mutations import NUMBERS, TEXTS, mutated_bytes, mutated_text
from tests.fuzz.target import Broken, Target
from tests.projections.histories import History, opened
from tests.projections.test_segments import log_some
from tests.projections.test_where import FOUND

_NOW: Final = datetime(2026, 3, 3, 12, tzinfo=UTC)
_WORDS: Final = (
    *TEXTS,
    *map(str, NUMBERS),
    *(" and ", " or ", "not ", "has(", " in (", "(", ")", ",", "`", "``", '"', "'", "\\", "\\'"),
    *("=", "!=", "<", "<=", ">", ">=", "~", "!~", "==", "<>", "t.", "p.", "c.", "m.", "tags.", "."),
    *("status", "created", "duration", "lost", "depth", "id", "m.loss.min", "c.net.depth", "nan"),
    *("yesterday", "2 hours ago", "999999999 weeks ago", "1h30m", "2026-03-03", "true", "null"),
)


@cache
def _reader() -> RunsReader:
    history = History(MemoryLog())
    history.experiment()
    for number in range(3):
        history.run(f"r{number}", tags={"model": "vit"}, config='{"lr":0.1,"net":{"depth":3}}')
    log_some(history, 3)
    return opened(history.log)


def seeds() -> list[bytes]:
    """The filters of other tests."""
    return [text.encode() for text in FOUND]


def mutate(data: bytes, random: Random) -> bytes:
    """A filter of other parts."""
    if random.random() < 0.05:
        return mutated_bytes(data, random)
    return mutated_text(data.decode(errors="replace"), random, _WORDS).encode()


def check(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    try:
        found = parse_filter(text, _NOW)
    except InvalidInput as error:
        str(error)
        return
    again = parse_filter(str(found), _NOW)
    if again != found and repr(again) != repr(found):  # NaN is not equal to itself.
        raise Broken(f"{text!r} is {found}, and read again {again}")
    which = RunFilter(where=str(found), include_children=True)
    reader = _reader()
    runs = [row.run_id for row in reader.runs(which)]
    if runs != [row.run_id for row in reader.at(reader.projection.refresh()).runs(which)]:
        raise Broken(f"{found} finds other runs as of the newest position")


TARGET: Final = Target("filters", check, seeds, mutate, max_nbytes=1_000, quick=60)
