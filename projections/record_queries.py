"""Whole records of runs, tags and properties included, in one query over the projection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from os.path import commonprefix
from typing import Any, Final

from runlore.domain.errors import FilterError, InvalidInput
from runlore.domain.filtering.parser import parse_field
from runlore.projections.conditions import Conditions
from runlore.projections.driver import duckdb
from runlore.projections.field_sql import Sql, ordered_by
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

# The page is cut before tags and properties are gathered. Times become text here, and maps come
# as two lists: Python's strftime and DuckDB's maps would each double the time of a long list.
_RECORDS: Final = """
WITH page AS (
    SELECT r.run_no, r.run_id, r.experiment_no, r.number, r.parent_id, r.root_id, r.run_type,
           r.target, r.name, r.created_at, r.writer_id, r.position, s.status, s.status_detail,
           s.started_at, s.ended_at, s.display_name, s.description, s.error, r.erased,
           row_number() OVER (
               ORDER BY {order} s.begun_at DESC, r.run_no DESC
           ) AS place
    FROM {runs} r
    JOIN store.run_states s ON s.run_no = r.run_no AND {current}
    {where}
    ORDER BY place
    LIMIT {limit}
), tags AS (
    SELECT t.run_no, list(t.key ORDER BY t.key) AS keys, list(t.value ORDER BY t.key) AS held
    FROM store.run_tags t SEMI JOIN page USING (run_no) WHERE {current_tags} GROUP BY t.run_no
), properties AS (
    SELECT t.run_no, list(t.key ORDER BY t.key) AS keys, list(t.value ORDER BY t.key) AS held
    FROM store.run_properties t SEMI JOIN page USING (run_no) WHERE {current_tags}
    GROUP BY t.run_no
), warnings AS (
    SELECT v.run_no, list(
               json_object('source', v.source, 'message', v.message)::VARCHAR ORDER BY v.position
           ) AS texts
    FROM store.warnings v SEMI JOIN page USING (run_no) WHERE {known_v} GROUP BY v.run_no
)
SELECT p.run_id, e.name, e.experiment_id, p.number, p.parent_id, p.root_id, p.run_type, p.target,
       p.name, strftime(make_timestamp(p.created_at), '%Y-%m-%dT%H:%M:%S.%fZ'),
       strftime(make_timestamp(p.started_at), '%Y-%m-%dT%H:%M:%S.%fZ'),
       strftime(make_timestamp(p.ended_at), '%Y-%m-%dT%H:%M:%S.%fZ'),
       p.status, p.status_detail, p.display_name, p.description, p.error,
       coalesce(a.actor, w.actor),
       coalesce(a.actor, w.actor) || '@' || w.host || ' (pid ' || w.pid || ')',
       b.definition, b.repeats, v.texts, t.keys, t.held, k.keys, k.held, p.erased
FROM page p
JOIN store.experiment_states e ON e.experiment_no = p.experiment_no AND {current_e}
LEFT JOIN store.writers w ON w.writer_id = p.writer_id AND {known_w}
LEFT JOIN {actors} a ON a.position = p.position
LEFT JOIN store.submissions b ON b.run_no = p.run_no AND {known_b}
LEFT JOIN warnings v ON v.run_no = p.run_no
LEFT JOIN tags t ON t.run_no = p.run_no
LEFT JOIN properties k ON k.run_no = p.run_no
ORDER BY p.place
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
    with _order(connection, conditions, sort) as order:
        query = _records_in(connection, conditions, order.text, limit)
        rows = connection.execute(query, [*order.params, *conditions.params]).fetchall()
    return [RecordRow(*row) for row in rows]


def _records_in(
    connection: duckdb.DuckDBPyConnection, conditions: Conditions, order: str, limit: int | None
) -> str:
    return _RECORDS.format(
        runs=runs_then(connection, conditions.as_of),
        current=conditions.current("s"),
        current_tags=conditions.current("t"),
        current_e=conditions.current("e"),
        actors=ACTORS,
        where=conditions.where(),
        **{f"known_{alias}": conditions.known(alias) for alias in ("w", "b", "v")},
        order=order,
        limit="ALL" if limit is None else f"{limit:d}",
    )


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
) -> Iterator[Sql]:
    """What comes before the usual order inside the block, with its comma."""
    if sort is None:
        yield Sql("")
        return
    name = sort.removeprefix("-")
    if name in RECORD_SORTS:
        yield Sql(f"{RECORD_SORTS[name]} {'DESC' if name != sort else 'ASC'} NULLS LAST, ")
        return
    try:
        field = parse_field(name)
    except FilterError as error:
        keys = ", ".join(RECORD_SORTS)
        raise InvalidInput(
            f"cannot sort by {name!r:.80}; it takes one of {keys}, or a field such as "
            f"metrics.loss.min ({error.message})"
        ) from error
    with ordered_by(connection, conditions, field, name != sort, datetime.now(UTC)) as order:
        yield Sql(f"{order.text}, ", order.params)
