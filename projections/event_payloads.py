"""The view `events`: its columns from the tables, ids and payloads read from the log.

Payloads are most of a log, and few queries read them: copied into the tables, they would triple
the data that every reading process builds, stores and opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType

from runlore.domain.events import ValuesLogged
from runlore.domain.fact import Fact
from runlore.projections.batch_rows import as_json
from runlore.projections.views import events_view
from runlore.storage.codec import facts_of
from runlore.storage.event_log import EventLog
from runlore.storage.log_query import LogQuery

_NEAR: Final = 32
"""Positions at most this far apart are read together."""


class EventPayloads:
    """The view `events` on a connection to tables of this log.

    It is a temporary view, as its functions are this connection's.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, log: EventLog) -> None:
        self._log = log
        self.upto_position: int | None = None

        def event_id_at(positions: pa.Array) -> pa.Array:
            return self._column(positions, _id_of)

        def event_data_at(positions: pa.Array) -> pa.Array:
            return self._column(positions, _data_of)

        for function in (event_id_at, event_data_at):
            connection.create_function(
                function.__name__,
                function,
                ["bigint"],
                "varchar",
                type=PythonUDFType.ARROW,
                null_handling=FunctionNullHandling.SPECIAL,  # Unknown events have no payload.
            )
        connection.execute(events_view())

    @contextmanager
    def as_of(self, position: int | None) -> Iterator[None]:
        """Inside the block the functions return NULL for later positions."""
        self.upto_position = position
        try:
            yield
        finally:
            self.upto_position = None

    def _column(self, positions: Any, show: Callable[[Fact], str | None]) -> pa.Array:
        wanted: list[int | None] = positions.to_pylist()
        upto = self.upto_position
        known = {at for at in wanted if at is not None and (upto is None or at <= upto)}
        shown = {fact.position: show(fact) for fact in _facts_at(self._log, sorted(known))}
        # Verifying the log finds lost events; the remaining ones can still be read.
        found = [None if at is None else shown.get(at) for at in wanted]
        return pa.array(found, pa.string())


def _facts_at(log: EventLog, positions: Sequence[int]) -> Iterator[Fact]:
    """The facts at some positions, in order, and perhaps some between them."""
    first = 0
    for after in range(1, len(positions) + 1):
        if after < len(positions) and positions[after] - positions[after - 1] <= _NEAR:
            continue
        start, stop = positions[first], positions[after - 1]
        limit = stop - start + 1
        yield from facts_of(
            log.read_plain(LogQuery(after_position=start - 1, upto_position=stop, limit=limit))
        )
        first = after


def _id_of(fact: Fact) -> str | None:
    return fact.event_id.hex() if fact.event_id else None


def _data_of(fact: Fact) -> str | None:
    data = fact.data
    if data is None:
        return None
    if fact.topic == ValuesLogged.topic:  # The values themselves are in metric_points.
        data = {key: value for key, value in data.items() if key != "payload"}
    return as_json(data)
