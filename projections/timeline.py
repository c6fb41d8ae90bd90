"""How many events a log has when, for a picture of its past."""

from __future__ import annotations

from typing import Final, NamedTuple

from runlore.projections.driver import duckdb


class Span(NamedTuple):
    """A part of the log's time: when it ends (µs since 1970 UTC), with which position, and how
    many events it has."""

    ends_at: int
    position: int
    events: int


# Times of recording never decrease, so each span has a range of positions.
_SPANS: Final = """
WITH extent AS (
    SELECT min(recorded_at) AS first, max(recorded_at) AS last FROM store.events WHERE {known}
)
SELECT max(e.recorded_at), max(e.position), count(*)
FROM store.events e, extent x
WHERE {known}
GROUP BY least(
    {buckets} - 1, (e.recorded_at - x.first) * {buckets} // greatest(x.last - x.first, 1)
)
ORDER BY max(e.position)
"""


def timeline(connection: duckdb.DuckDBPyConnection, buckets: int, as_of: int | None) -> list[Span]:
    """At most so many spans of equal length, without those that have no event."""
    known = "true" if as_of is None else f"position <= {as_of:d}"
    query = _SPANS.format(known=known, buckets=int(buckets))
    return [Span(*row) for row in connection.execute(query).fetchall()]
