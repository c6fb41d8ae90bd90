"""The view `events`: what the tables say of each event, with id and payload read from the log.

Payloads are most of a log, and few queries read them: copied into the tables, they would triple
what every reading process has to make, keep and open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType

from runlore.domain.events import ValuesLogged
from runlore.domain.fact import Fact
from runlore.projections.runs_fold import as_json
from runlore.storage.codec import facts_of
from runlore.storage.event_log import EventLog

# A temporary view, as its functions are this connection's.
_VIEW: Final = """
CREATE TEMP VIEW events AS
SELECT v.position, v.stream, v.version, v.topic, event_id_at(v.position) AS event_id,
       make_timestamptz(v.recorded_at) AS recorded_at, v.writer_id, w.actor, v.reason,
       CASE WHEN starts_with(v.stream, 'run/') THEN split_part(v.stream, '/', 2) END AS run_id,
       event_data_at(v.position) AS data
FROM store.events v
LEFT JOIN store.writers w ON w.writer_id = v.writer_id
"""

_NEAR: Final = 32
"""Positions that are not farther apart are read together."""


def show_events(connection: duckdb.DuckDBPyConnection, log: EventLog) -> None:
    """Makes the view `events` on a connection to tables of this log."""

    def event_id_at(positions: pa.Array) -> pa.Array:
        return _column(log, positions, _id_of)

    def event_data_at(positions: pa.Array) -> pa.Array:
        return _column(log, positions, _data_of)

    for function in (event_id_at, event_data_at):
        connection.create_function(
            function.__name__,
            function,
            ["bigint"],
            "varchar",
            type=PythonUDFType.ARROW,
            # What was erased, or is of a newer runlore, has no data.
            null_handling=FunctionNullHandling.SPECIAL,
        )
    connection.execute(_VIEW)


def _column(log: EventLog, positions: Any, show: Callable[[Fact], str | None]) -> pa.Array:
    wanted: list[int] = positions.to_pylist()
    shown = {fact.position: show(fact) for fact in _facts_at(log, sorted(set(wanted)))}
    # A log that lost events since is told by verifying it; what is left can be read.
    return pa.array([shown.get(position) for position in wanted], pa.string())


def _facts_at(log: EventLog, positions: Sequence[int]) -> Iterator[Fact]:
    """The facts at some positions, in order, and perhaps some between them."""
    first = 0
    for after in range(1, len(positions) + 1):
        if after < len(positions) and positions[after] - positions[after - 1] <= _NEAR:
            continue
        start, stop = positions[first], positions[after - 1]
        limit = stop - start + 1
        yield from facts_of(
            log.read_plain(after_position=start - 1, upto_position=stop, limit=limit)
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
