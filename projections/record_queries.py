"""Whole records of runs, tags and properties included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from os.path import commonprefix
from typing import Any, Final

from runlore.domain.errors import FilterError, InvalidInput
from runlore.projections.conditions import Conditions
from runlore.projections.driver import duckdb
from runlore.projections.filters import check_text_filter
from runlore.projections.rows import RecordRow
from runlore.projections.trees import runs_then
from runlore.projections.views import ACTORS

RECORD_SORTS: Final[Mapping[str, str]] = {
    "run_number": "r.number",
    "run_id": "r.run_id",
    "status": "s.status",
    "target": "coalesce(r.target, 'local')",
    "run_type": "r.run_type",
    "display_name": "coalesce(s.display_name, r.run_id)",
    "created_utc": "r.created_at",
    "start_time_utc": "s.started_at",
    "end_time_utc": "s.ended_at",
}
"""The sort keys that records have, as columns of the query; fields of filters are others."""

# Several short queries: DuckDB takes longer to plan one with all their joins than to answer them.
_CHOSEN: Final = """
SELECT r.run_no
FROM {runs} r
JOIN store.run_states s ON s.run_no = r.run_no AND {current_s}
{where}
ORDER BY {order} s.begun_at DESC, r.run_no DESC
LIMIT {limit}
"""

# Times become text here: Python's strftime would double the time of a long list.
_RECORDS: Final = """
SELECT r.run_no, r.run_id, e.name, e.experiment_id, r.number, r.parent_id, r.root_id, r.run_type,
       r.target, r.name, strftime(make_timestamp(r.created_at), '%Y-%m-%dT%H:%M:%S.%fZ'),
       strftime(make_timestamp(s.started_at), '%Y-%m-%dT%H:%M:%S.%fZ'),
       strftime(make_timestamp(s.ended_at), '%Y-%m-%dT%H:%M:%S.%fZ'),
       s.status, s.status_detail, s.display_name, s.description, s.error,
       coalesce(a.actor, w.actor),
       coalesce(a.actor, w.actor) || '@' || w.host || ' (pid ' || w.pid || ')',
       b.definition, b.repeats, r.erased
FROM {runs} r
JOIN store.run_states s ON s.run_no = r.run_no AND {current_s}
JOIN store.experiment_states e ON e.experiment_no = r.experiment_no AND {current_e}
LEFT JOIN store.writers w ON w.writer_id = r.writer_id AND {known_w}
LEFT JOIN {actors} a ON a.position = r.position
LEFT JOIN store.submissions b ON b.run_no = r.run_no AND {known_b}
WHERE r.run_no IN (SELECT unnest(?::BIGINT[]))
"""

_PAIRS: Final = """
SELECT k.run_no, k.key, k.value FROM {table} k
WHERE {current_k} AND k.run_no IN (SELECT unnest(?::BIGINT[]))
ORDER BY k.run_no, k.key
"""

_WARNINGS: Final = """
SELECT v.run_no, v.source, v.message FROM store.warnings v
WHERE {known_v} AND v.run_no IN (SELECT unnest(?::BIGINT[]))
ORDER BY v.position
"""


def run_records(
    connection: duckdb.DuckDBPyConnection,
    conditions: Conditions,
    *,
    sort: str | None,
    limit: int | None,
) -> list[RecordRow]:
    """The matching runs, newest first or by `sort`: a key of records, or a field of filters.

    `-` before it stands for descending order.
    """
    marks = {
        "runs": runs_then(connection, conditions.as_of),
        "actors": ACTORS,
        **{f"current_{alias}": conditions.current(alias) for alias in "sek"},
        **{f"known_{alias}": conditions.known(alias) for alias in "wbv"},
    }
    bounds = {"where": conditions.where(), "limit": "ALL" if limit is None else f"{limit:d}"}
    with _order(connection, conditions, sort) as (order, params):
        chosen = connection.execute(
            _CHOSEN.format(**marks, **bounds, order=order), [*params, *conditions.params]
        ).fetchall()
    numbers = [run_no for (run_no,) in chosen]

    def rows_of(query: str, **more: str) -> list[tuple[Any, ...]]:
        return connection.execute(query.format(**marks, **more), [numbers]).fetchall()

    def pairs_of(table: str) -> defaultdict[int, dict[str, Any]]:
        held: defaultdict[int, dict[str, Any]] = defaultdict(dict)
        for run_no, key, value in rows_of(_PAIRS, table=table):
            held[run_no][key] = value
        return held

    rows = {run_no: row for run_no, *row in rows_of(_RECORDS)}
    tags, properties = pairs_of("store.run_tags"), pairs_of("store.run_properties")
    warnings: defaultdict[int, list[dict[str, str]]] = defaultdict(list)
    for run_no, source, message in rows_of(_WARNINGS):
        warnings[run_no].append({"source": source, "message": message})
    return [
        RecordRow._make((*rows[number], warnings[number], tags[number], properties[number]))
        for number in numbers
        if number in rows  # Not if its experiment's events are damaged.
    ]


def ids_that_start_with(
    connection: duckdb.DuckDBPyConnection, prefix: str, limit: int, as_of: int | None = None
) -> list[str]:
    """At most `limit` ids of runs that begin with the text, in order."""
    known = Conditions(as_of).known("r")
    rows: list[tuple[Any, ...]] = connection.execute(
        f"SELECT r.run_id FROM store.runs r WHERE starts_with(r.run_id, ?) AND {known} "
        f"ORDER BY r.run_id LIMIT {limit:d}",
        [check_text_filter("run_id", prefix)],
    ).fetchall()
    return [run_id for (run_id,) in rows]


def shortest_prefixes(
    connection: duckdb.DuckDBPyConnection, run_ids: Sequence[str], least: int
) -> dict[str, str]:
    """For each id the shortest beginning, of `least` characters or more, that no other run has."""
    rows: list[tuple[str, str | None, str | None]] = connection.execute(
        "SELECT g.run_id, max(r.run_id) FILTER (r.run_id < g.run_id), "
        "min(r.run_id) FILTER (r.run_id > g.run_id) "
        "FROM (SELECT DISTINCT unnest(?::VARCHAR[]) AS run_id) g, store.runs r GROUP BY g.run_id",
        [list(run_ids)],
    ).fetchall()
    return {
        run_id: run_id[: max(least, *(_shared(run_id, other) + 1 for other in others))]
        for run_id, *others in rows
    }


def _shared(run_id: str, other: str | None) -> int:
    """How many characters two ids have in common at their beginning."""
    return len(commonprefix([run_id, other or ""]))


@contextmanager
def _order(
    connection: duckdb.DuckDBPyConnection, conditions: Conditions, sort: str | None
) -> Iterator[tuple[str, Sequence[Any]]]:
    """What comes before the usual order inside the block, with its comma, and its parameters."""
    if sort is None:
        yield "", ()
        return
    name = sort.removeprefix("-")
    if name in RECORD_SORTS:
        yield f"{RECORD_SORTS[name]} {'DESC' if name != sort else 'ASC'} NULLS LAST, ", ()
        return
    from runlore.domain.filtering.parser import parse_field
    from runlore.projections.field_sql import ordered_by

    try:
        field = parse_field(name)
    except FilterError as error:
        keys = ", ".join(RECORD_SORTS)
        raise InvalidInput(
            f"cannot sort by {name!r:.80}; it takes one of {keys}, or a field such as "
            f"metrics.loss.min ({error.message})"
        ) from error
    with ordered_by(connection, conditions, field, name != sort, datetime.now(UTC)) as order:
        yield f"{order.text}, ", order.params
