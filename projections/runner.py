"""Catches a projection up to its log, in batches of thousands."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from eventsourcing.persistence import Tracking

from runlore.projections.projection import Projection
from runlore.storage.codec import fact_of
from runlore.storage.event_log import EventLog

APPLICATION: Final = "runlore"
BATCH: Final = 10_000


def catch_up(
    projection: Projection,
    log: EventLog,
    *,
    upto_position: int | None = None,
    batch: int = BATCH,
) -> int:
    """Applies what the log got since, and returns how many events were read for it.

    On return the projection has all that was committed before the call, or up to and including
    `upto_position`. Each batch is one transaction of rows and applied position.
    """
    read = 0
    position, _ = projection.view.applied(APPLICATION)
    while True:
        rows = log.read_log(after_position=position, limit=batch, upto_position=upto_position)
        if not rows:
            return read
        last = rows[-1]
        with _collector_paused():
            facts = [fact_of(row) for row in rows]
            projection.commit(facts, Tracking(APPLICATION, last.position), last.leaf)
        position = last.position
        read += len(rows)
        if len(rows) < batch:
            return read


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A batch makes many objects and no cycles; looking for some takes a third of its time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
