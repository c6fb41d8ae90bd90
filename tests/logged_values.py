"""Logged values read back as the records that went in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from runlore.domain.events import ValuesLogged
from runlore.domain.ids import values_prefix
from runlore.storage.codec import fact_of
from runlore.storage.event_log import EventLog
from runlore.storage.log_query import LogQuery
from runlore.storage.value_codec import Part, Series, encode_batch
from runlore.storage.value_reader import Block, read_batch


class Record(NamedTuple):
    """One logged value: `value` is a tuple, a value per column, for rows."""

    series: Series
    step: int
    time: int
    value: Any


def batch_of(writer_id: str, first_seq: int, records: Sequence[Record]) -> ValuesLogged:
    """The event for these records of one run, whose order it keeps."""
    by_series: dict[Series, list[tuple[int, Record]]] = {}
    for index, record in enumerate(records):
        by_series.setdefault(record.series, []).append((index, record))
    return encode_batch(writer_id, first_seq, [_part(*one) for one in by_series.items()])


def _part(series: Series, members: Sequence[tuple[int, Record]]) -> Part:
    values = [record.value for _, record in members]
    return Part(
        series,
        [index for index, _ in members],
        [record.step for _, record in members],
        [record.time for _, record in members],
        list(zip(*values, strict=True)) if series.columns else [values],
    )


def records_of(blocks: list[Block]) -> list[Record]:
    """The records of one batch, in the order in which they were logged."""
    found: list[tuple[int, Record]] = []
    for block in blocks:
        columns = [column.tolist() for column in block.columns]
        values: list[Any] = list(zip(*columns, strict=True)) if block.series.columns else columns[0]
        places = (block.index.tolist(), block.steps.tolist(), block.times.tolist(), values)
        found += [
            (index, Record(block.series, step, time, value))
            for index, step, time, value in zip(*places, strict=True)
        ]
    return [record for _, record in sorted(found, key=lambda pair: pair[0])]


def records_in(log: EventLog, run_id: str) -> list[Record]:
    """All values of a run that are in the log, by position and place in their batch.

    Checks on the way that the batches of each writer number their values without a hole.
    """
    found = []
    next_seq: dict[str, int] = {}
    for row in log.read_log(LogQuery(prefix=values_prefix(run_id), topics=[ValuesLogged.topic])):
        data = fact_of(row).data
        assert data is not None
        assert data["first_seq"] == next_seq.get(row.stream, 0)
        next_seq[row.stream] = data["first_seq"] + data["count"]
        found += records_of(read_batch(data))
    return found
