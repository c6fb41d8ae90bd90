"""Catches a projection up to its log, in batches of thousands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from runlore.projections.duckdb_view import Tracking
from runlore.projections.progress import Shown, nowhere
from runlore.projections.projection import Projection
from runlore.storage.codec import facts_of
from runlore.storage.collector import collector_paused
from runlore.storage.damage import examined
from runlore.storage.event_log import EventLog, StoredRow
from runlore.storage.log_query import LogQuery
from runlore.storage.stamp import leaf_at

if TYPE_CHECKING:
    from typing import Self

APPLICATION: Final = "runlore"
BATCH: Final = 30_000
BATCH_NBYTES: Final = 64_000_000
_FIRST_BATCH: Final = 1_000  # Its size is a guide to the next ones.


def catch_up(
    projection: Projection,
    log: EventLog,
    *,
    upto_position: int | None = None,
    batch: int = BATCH,
    batch_nbytes: int = BATCH_NBYTES,
    application_name: str = APPLICATION,
    shown: Shown = nowhere,
) -> int:
    """Applies the log's new events, and returns the number of events read.

    On return the projection has all that was committed before the call, or up to and including
    `upto_position`. Each batch is one transaction of rows and applied position, of at most
    `batch` events and, if the last one is a guide to it, `batch_nbytes` bytes of payload.

    The applied position is kept under `application_name`: that of the library's runner, for a
    projection that this runner drives as well. Each would apply everything under its own name.
    How far it is goes to `shown`.
    """
    read = 0
    limit = min(batch, _FIRST_BATCH)
    position, _ = projection.view.applied(application_name)
    head = partial(_head, log, upto_position)
    with (
        collector_paused(),
        _forgetting(projection),
        shown(position, head) as tell,
        Beside() as beside,
    ):
        while True:
            rows = log.read_plain(
                LogQuery(after_position=position, limit=limit, upto_position=upto_position)
            )
            if not rows:
                return read
            reached, position = position, rows[-1][0]
            tell(reached)
            read += len(rows)
            facts = projection.wanted(examined(log, facts_of(rows)))
            tracking, leaf = Tracking(application_name, position), leaf_at(log, position) or b""
            write = projection.prepare(facts, beside.wait) if facts else None
            del facts
            tell(reached)
            if len(rows) < limit:
                beside.wait()
                projection.write(write, tracking, leaf)
                return read
            # Python goes on with the next batch while DuckDB writes this one.
            beside.run(partial(projection.write, write, tracking, leaf))
            nbytes = sum(map(len, map(_STATE, rows)))
            limit = max(1, min(batch, limit * batch_nbytes // max(1, nbytes)))


def _head(log: EventLog, upto_position: int | None) -> int:
    head = log.last_position()
    return head if upto_position is None else min(head, upto_position)


_STATE: Final = itemgetter(StoredRow._fields.index("state"))


class Beside:
    """Runs one action at a time in a thread; all are done at the block's end."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()  # Its error tells why, if what came later failed as well.

    def run(self, action: Callable[[], None]) -> None:
        """Begins the action after the previous one has ended. Raises the previous one's error."""
        self.wait()

        def act() -> None:
            try:
                action()
            except BaseException as error:
                self._error = error

        thread = threading.Thread(target=act, name="runlore-projection", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # No room for its stack.
            action()
        else:
            self._thread = thread

    def wait(self) -> None:
        """Returns when the action is done. Raises its error."""
        self._join()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _join(self) -> None:
        interrupted: BaseException | None = None
        while self._thread is not None:
            try:
                self._thread.join()
                self._thread = None
            except BaseException as error:  # Of a signal handler: the thread still has the tables.
                interrupted = error
        if interrupted is not None:
            raise interrupted


@contextmanager
def _forgetting(projection: Projection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        projection.forget()
        raise
