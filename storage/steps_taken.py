"""The steps that the values of a run in the log take, so that automatic ones go on after them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from runlore.domain.events import RunRewound, ValuesLogged
from runlore.domain.fact import Fact
from runlore.domain.ids import run_stream, values_stream
from runlore.storage.codec import fact_of
from runlore.storage.errors import LogCorrupt
from runlore.storage.event_log import EventLog
from runlore.storage.log_query import LogQuery
from runlore.storage.value_codec import series_of

SeriesKey = tuple[str, tuple[str, ...]]
"""A series by name and columns."""


def steps_taken(
    log: EventLog, run_id: str, *, excluding_writer: str | None = None
) -> dict[SeriesKey, int]:
    """The next automatic step of each series of a run, after the values of other writers, or all.

    Automatic steps count the values, and no payload is read. After a rewind they go on after the
    last value that is not void, and all payloads are. Steps in a batch that is damaged may be taken
    again.
    """
    own = None if excluding_writer is None else values_stream(run_id, excluding_writer)
    topics = (ValuesLogged.topic, RunRewound.topic)
    query = LogQuery(under=run_stream(run_id), topics=topics)
    facts = [fact_of(row) for row in log.read_log(query) if row.stream != own]
    if any(fact.topic == RunRewound.topic for fact in facts):
        return _after_rewinds(facts)
    taken: dict[SeriesKey, int] = {}
    for fact in facts:
        for key, n in _counted(fact):
            taken[key] = taken.get(key, 0) + n
    return taken


def _counted(fact: Fact) -> Iterator[tuple[SeriesKey, int]]:
    try:
        for described in fact.data["series"] if fact.data else ():
            series = series_of(described)
            yield (series.name, series.columns), int(described["n"])
    except (AttributeError, LookupError, TypeError, ValueError):
        return  # Damaged: logging goes on.


def _after_rewinds(facts: list[Fact]) -> dict[SeriesKey, int]:
    # Imported here: it needs numpy, which the write path does without.
    from runlore.storage.value_reader import read_batch

    taken: dict[SeriesKey, int] = {}
    for fact in facts:
        if fact.data is None:
            continue
        if fact.topic == RunRewound.topic:
            after = max(0, fact.data["step"] + 1)
            taken = {key: min(step, after) for key, step in taken.items()}
            continue
        with suppress(LogCorrupt):
            for block in read_batch(fact.data):
                key = (block.series.name, block.series.columns)
                taken[key] = max(taken.get(key, 0), int(block.steps.max()) + 1)
    return taken
