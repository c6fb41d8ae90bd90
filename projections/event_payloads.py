"""The view `events`: its columns from the tables, ids and payloads read from the log.

Payloads are most of a log, and few queries read them: copied into the tables, they would triple
the data that every reading process builds, stores and opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Final, NamedTuple

from runlore.domain.events import ValuesLogged
from runlore.domain.fact import Fact
from runlore.projections.batch_rows import as_json
from runlore.projections.driver import duckdb
from runlore.projections.views import events_view
from runlore.storage.codec import facts_of
from runlore.storage.event_log import EventLog
from runlore.storage.log_query import LogQuery

_NEAR: Final = 32
"""Positions at most this far apart are read together."""

_AHEAD_MAX: Final = 1_024
"""At most this many positions are read at once."""


class EventPayloads:
    """The view `events` on a connection to tables of this log.

    It is a temporary view, as its functions are this connection's.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, log: EventLog) -> None:
        # Imported here: it is in the package, which few questions need.
        from duckdb.func import FunctionNullHandling

        self._columns = {
            "event_id_at": _PayloadColumn(log, _id_of),
            "event_data_at": _PayloadColumn(log, _data_of),
        }
        for name, column in self._columns.items():
            connection.create_function(
                name,
                column.at,
                ["bigint"],
                "varchar",
                null_handling=FunctionNullHandling.SPECIAL,  # Unknown events have no payload.
            )
        connection.execute(events_view())

    @contextmanager
    def as_of(self, position: int | None) -> Iterator[None]:
        """Inside the block, for one query, the functions return NULL for later positions."""
        for column in self._columns.values():
            column.upto_position = position
        try:
            yield
        finally:
            for column in self._columns.values():
                column.forget()


class _Window(NamedTuple):
    """What the events from a position up to before another show; some may be lost."""

    start: int
    stop: int
    shown: dict[int, str | None]


class _PayloadColumn:
    """A column that is read from the log, a row at a time.

    DuckDB asks for row after row, and in several threads. While a thread asks for neighbours, more
    and more of them are read ahead.
    """

    def __init__(self, log: EventLog, show: Callable[[Fact], str | None]) -> None:
        self.upto_position: int | None = None
        self._log = log
        self._show = show
        self._windows: dict[int, _Window] = {}

    def at(self, position: int | None) -> str | None:
        """The event's column; NULL for none, and for one that is lost: to verify finds it."""
        upto = self.upto_position
        if position is None or (upto is not None and position > upto):
            return None
        thread = get_ident()
        window = self._windows.get(thread)
        if window is None or not window.start <= position < window.stop:
            window = self._windows[thread] = self._read(position, window)
        return window.shown.get(position)

    def forget(self) -> None:
        """Ends a query: by the next one there may be more events, or some may be erased."""
        self.upto_position = None
        self._windows.clear()

    def _read(self, position: int, last: _Window | None) -> _Window:
        n = 1
        if last is not None and 0 <= position - last.stop < _NEAR:
            n = min(2 * (last.stop - last.start), _AHEAD_MAX)
        query = LogQuery(after_position=position - 1, upto_position=position + n - 1, limit=n)
        facts = facts_of(self._log.read_plain(query))
        return _Window(position, position + n, {fact.position: self._show(fact) for fact in facts})


def _id_of(fact: Fact) -> str | None:
    return fact.event_id.hex() if fact.event_id else None


def _data_of(fact: Fact) -> str | None:
    data = fact.data
    if data is None:
        return None
    if fact.topic == ValuesLogged.topic:  # The values themselves are in metric_points.
        data = {key: value for key, value in data.items() if key != "payload"}
    return as_json(data)
