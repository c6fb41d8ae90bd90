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
BATCH_NBYTES: Final = 64_000_000
_FIRST_BATCH: Final = 1_000  # What the sizes of the next ones are learnt from.


def catch_up(
    projection: Projection,
    log: EventLog,
    *,
    upto_position: int | None = None,
    batch: int = BATCH,
    batch_nbytes: int = BATCH_NBYTES,
    application_name: str = APPLICATION,
) -> int:
    """Applies what the log got since, and returns how many events were read for it.

    On return the projection has all that was committed before the call, or up to and including
    `upto_position`. Each batch is one transaction of rows and applied position, of at most
    `batch` events and, if the last one is a guide to it, `batch_nbytes` bytes of payload.

    The applied position is kept under `application_name`: for a projection that the library's
    runner drives too, that runner's application. Each would apply everything under its own name.
    """
    read = 0
    limit = min(batch, _FIRST_BATCH)
    position, _ = projection.view.applied(application_name)
    while True:
        rows = log.read_log(after_position=position, limit=limit, upto_position=upto_position)
        if not rows:
            return read
        last = rows[-1]
        with _collector_paused():
            facts = [fact_of(row) for row in rows]
            projection.commit(facts, Tracking(application_name, last.position), last.leaf)
        position = last.position
        read += len(rows)
        if len(rows) < limit:
            return read
        nbytes = sum(len(row.state) for row in rows)
        limit = max(1, min(batch, limit * batch_nbytes // max(1, nbytes)))


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
