"""The projection of runs at a place: its database and its segments, opened as one."""

from __future__ import annotations

from runlore.projections.connection import connect
from runlore.projections.duckdb_recorder import DuckDBView
from runlore.projections.projection_of_runs import RunsProjection
from runlore.projections.segment_files import Bounds, usable
from runlore.projections.slots import Place


def projection_at(place: Place, bounds: Bounds) -> RunsProjection:
    """What is at the place, or the empty tables. Raises duckdb.Error if it is damaged."""
    segments = usable(place.segments)
    connection = connect(place.database, place.spill, segments)
    try:
        return RunsProjection(DuckDBView(connection), segments, bounds)
    except BaseException:
        connection.close()
        raise
