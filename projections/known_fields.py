"""The fields that runs have, and their values, for people who are about to name one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from runlore.domain.errors import InvalidInput
from runlore.domain.filtering.fields import ATTRIBUTES, Field, Kind, Namespace
from runlore.projections.conditions import Conditions
from runlore.projections.driver import duckdb
from runlore.projections.field_sql import PAIRS, attribute
from runlore.projections.metric_summaries_as_of import latest_as_of
from runlore.projections.trees import runs_then


class KnownField(NamedTuple):
    """A field in its canonical spelling, and how many runs have it."""

    field: str
    runs: int


class KnownValue(NamedTuple):
    """A value of a field as text, and how many runs have it."""

    value: str
    runs: int


_KEYS: Final = """
SELECT k.key, count(*) FROM {table} k
WHERE contains(lower(k.key), lower(?)) AND {current} {within}
GROUP BY k.key ORDER BY count(*) DESC, k.key LIMIT {limit}
"""
_METRICS: Final = """
SELECT s.name, count(*)
FROM store.metric_latest k JOIN store.series s USING (series_no) {runs}
WHERE s.kind = 'scalar' AND contains(lower(s.name), lower(?)) {within}
GROUP BY s.name ORDER BY count(*) DESC, s.name LIMIT {limit}
"""
_KINDS: Final = """
SELECT s.name, CASE WHEN count(DISTINCT s.kind) = 1 THEN any_value(s.kind)
                    WHEN bool_or(s.kind = 'row') THEN 'row' ELSE 'scalar' END
FROM {latest} k JOIN store.series s USING (series_no)
WHERE k.run_no = {run_no:d}
GROUP BY s.name ORDER BY min(k.first_position), min(k.first_time), min(k.series_no)
"""
_VALUES_OF_KEY: Final = """
SELECT value, count(*) FROM (
    SELECT {text} AS value FROM {table} k WHERE k.key = ? AND {current} {within}
)
WHERE contains(lower(value), lower(?)) GROUP BY value ORDER BY count(*) DESC, value LIMIT {limit}
"""
_VALUES_OF_ATTRIBUTE: Final = """
SELECT value, count(*) FROM (
    SELECT {text} AS value FROM {runs} r
    JOIN store.run_states s ON s.run_no = r.run_no AND {current}
    WHERE {known} {within}
)
WHERE contains(lower(value), lower(?)) GROUP BY value ORDER BY count(*) DESC, value LIMIT {limit}
"""
_TEXTS: Final = (Kind.TEXT, Kind.STATUS)


def known_fields(
    connection: duckdb.DuckDBPyConnection,
    part: str,
    experiment_no: int | None,
    limit: int,
    as_of: int | None,
) -> list[KnownField]:
    """The config keys, tags, properties and metrics whose names contain a text, in any case.

    `limit` of each kind, those of the most runs first. Metrics are those of now.
    """
    return list(_found(connection, part, experiment_no, limit, Conditions(as_of)))


def _found(
    connection: duckdb.DuckDBPyConnection,
    part: str,
    experiment_no: int | None,
    limit: int,
    conditions: Conditions,
) -> Iterator[KnownField]:
    in_experiment = "" if experiment_no is None else f"experiment_no = {experiment_no:d}"
    for namespace, pairs in PAIRS.items():
        query = _KEYS.format(
            table=pairs.table,
            current=conditions.current("k"),
            within=in_experiment and f"AND k.{in_experiment}",
            limit=int(limit),
        )
        for name, runs in connection.execute(query, [part]).fetchall():
            yield KnownField(str(Field(namespace, name)), runs)
    query = _METRICS.format(
        runs=in_experiment and "JOIN store.runs r USING (run_no)",
        within=in_experiment and f"AND r.{in_experiment}",
        limit=int(limit),
    )
    for name, runs in connection.execute(query, [part]).fetchall():
        yield KnownField(str(Field(Namespace.METRICS, name, "last")), runs)


def known_values(
    connection: duckdb.DuckDBPyConnection,
    field: Field,
    part: str,
    experiment_no: int | None,
    limit: int,
    as_of: int | None,
) -> list[KnownValue]:
    """The values of a field that contain a text, in any case; those of the most runs first.

    Of a config key, a tag, a property, or an attribute that is text. Raises InvalidInput for
    another field.
    """
    conditions = Conditions(as_of)
    in_experiment = "" if experiment_no is None else f"experiment_no = {experiment_no:d}"
    if field.namespace in PAIRS:
        pairs = PAIRS[field.namespace]
        query = _VALUES_OF_KEY.format(
            text=pairs.text,
            table=pairs.table,
            current=conditions.current("k"),
            within=in_experiment and f"AND k.{in_experiment}",
            limit=int(limit),
        )
        params = [field.name, part]
    elif field.namespace is Namespace.ATTRIBUTE and ATTRIBUTES[field.name] in _TEXTS:
        query = _VALUES_OF_ATTRIBUTE.format(
            text=attribute(field, conditions, datetime.now(UTC)),
            runs=runs_then(connection, as_of),
            current=conditions.current("s"),
            known=conditions.known("r"),
            within=in_experiment and f"AND r.{in_experiment}",
            limit=int(limit),
        )
        params = [part]
    else:
        raise InvalidInput(
            f"{str(field)!r:.200} has numbers or times as values; values are listed of texts: of "
            "tags, properties, config and attributes such as status"
        )
    return [KnownValue(*row) for row in connection.execute(query, params).fetchall()]


def metric_kinds(
    connection: duckdb.DuckDBPyConnection, run_no: int, as_of: int | None
) -> dict[str, str]:
    """The kind of each metric of a run, by name; see `RunsReader.metric_kinds`."""
    with latest_as_of(connection, as_of, only=f"run_no = {run_no:d}") as latest:
        query = _KINDS.format(latest=latest, run_no=run_no)
        return dict(connection.execute(query).fetchall())
