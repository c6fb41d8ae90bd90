"""Logged values read back as the records that went in."""

from __future__ import annotations

from typing import Any

from runlore.domain.events import ValuesLogged
from runlore.domain.ids import values_prefix
from runlore.storage.codec import fact_of
from runlore.storage.event_log import EventLog
from runlore.storage.value_codec import Record
from runlore.storage.value_reader import Block, read_batch


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
    for row in log.read_streams(values_prefix(run_id), topics=[ValuesLogged.topic]):
        data = fact_of(row).data
        assert data is not None
        assert data["first_seq"] == next_seq.get(row.stream, 0)
        next_seq[row.stream] = data["first_seq"] + data["count"]
        found += records_of(read_batch(data))
    return found
