"""Fields of the filter language as SQL over runs `r` and their states `s`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from runlore.domain.filtering.fields import Field, Namespace
from runlore.projections.conditions import Conditions, Sql
from runlore.projections.driver import duckdb
from runlore.projections.metric_summaries_as_of import latest_as_of
from runlore.projections.series import series_numbers
from runlore.projections.views import ACTORS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

# `{now}` is the time that is asked about in microseconds, the others are conditions.
_ATTRIBUTES: Final[Mapping[str, str]] = {
    "id": "r.run_id",
    "name": "coalesce(s.display_name, r.run_id)",
    "experiment": "(SELECT e.name FROM store.experiment_states e "
    "WHERE e.experiment_no = r.experiment_no AND {named})",
    "number": "r.number",
    "status": "s.status",
    "created": "r.created_at",
    "started": "s.started_at",
    "ended": "s.ended_at",
    "duration": "CASE WHEN s.started_at IS NOT NULL "
    "THEN (s.ran_us + coalesce(greatest({now} - s.running_since, 0), 0)) / 1e6 END",
    "type": "coalesce(r.run_type, (SELECT k.value FROM store.run_properties k "
    "WHERE k.run_no = r.run_no AND k.key = 'azureml.runsource' AND {held}))",
    "target": "coalesce(r.target, 'local')",
    "user": f"coalesce((SELECT a.actor FROM {ACTORS} a WHERE a.position = r.position), "
    "(SELECT w.actor FROM store.writers w WHERE w.writer_id = r.writer_id))",
    "host": "(SELECT w.host FROM store.writers w WHERE w.writer_id = r.writer_id)",
    "script": "(SELECT v.script FROM store.environments v "
    "WHERE v.run_no = r.run_no AND {recorded})",
    "git_commit": "coalesce((SELECT v.git_commit FROM store.environments v "
    "WHERE v.run_no = r.run_no AND {recorded}), r.git_commit)",
    "parent": "r.parent_id",
    "root": "r.root_id",
    "depth": "r.depth",
    "description": "s.description",
    "error": "s.error->>'$.message'",
    "error_code": "s.error->>'$.code'",
    "lost": "s.before_loss IS NOT NULL",
    "archived": "s.archived_at IS NOT NULL",
}

AGGREGATES: Final[Mapping[str, str]] = {
    "last": "k.last",
    "first": "k.first",
    "min": "k.min",
    "max": "k.max",
    "mean": "CASE WHEN k.numbers > k.nonfinite THEN k.sum / (k.numbers - k.nonfinite) END",
    "n": "k.n",
}


class Pairs(NamedTuple):
    """A table of keys and values, and its values as text and as numbers."""

    table: str
    text: str
    number: str


PAIRS: Final[Mapping[Namespace, Pairs]] = {
    Namespace.TAGS: Pairs("store.run_tags", "k.value", "TRY_CAST(k.value AS DOUBLE)"),
    Namespace.PROPERTIES: Pairs("store.run_properties", "k.value", "TRY_CAST(k.value AS DOUBLE)"),
    Namespace.CONFIG: Pairs(
        "store.run_config",
        "CASE WHEN starts_with(k.json, '\"') THEN k.json->>'$' ELSE k.json END",
        "k.number",
    ),
}


def microseconds(time: datetime) -> int:
    """An aware time as the tables hold it: µs since 1970 UTC."""
    return (time - _EPOCH) // _MICROSECOND


def attribute(field: Field, conditions: Conditions, now: datetime) -> str:
    """The expression of an attribute; times are µs since 1970 UTC."""
    return _ATTRIBUTES[field.name].format(
        now=microseconds(now)
        if conditions.as_of is None
        else f"(SELECT recorded_at FROM store.events WHERE position = {conditions.as_of:d})",
        named=conditions.current("e"),
        held=conditions.current("k"),
        recorded=conditions.current("v"),
    )


@contextmanager
def ordered_by(
    connection: duckdb.DuckDBPyConnection,
    conditions: Conditions,
    field: Field,
    descending: bool,
    now: datetime,
) -> Iterator[Sql]:
    """What `ORDER BY` takes inside the block to sort by a field.

    Numbers come before texts, and runs without the field, or with NaN, last.
    """
    how = f"{'DESC' if descending else 'ASC'} NULLS LAST"
    if field.namespace is Namespace.ATTRIBUTE:
        yield Sql(f"{attribute(field, conditions, now)} {how}")
    elif field.namespace is Namespace.METRICS:
        number = series_numbers(connection, [field.name]).get((field.name, ""), 0)
        with latest_as_of(connection, conditions.as_of, only=f"series_no = {number:d}") as latest:
            value = AGGREGATES[field.aggregate]
            yield Sql(
                f"(SELECT any_value(CASE WHEN NOT isnan(({value})::DOUBLE) THEN {value} END) "
                f"FROM {latest} k WHERE k.run_no = r.run_no AND k.series_no = {number:d}) {how}"
            )
    else:
        pairs = PAIRS[field.namespace]
        number_or_text = ", ".join(
            f"(SELECT any_value({value}) FROM {pairs.table} k WHERE k.run_no = r.run_no "
            f"AND k.key = ? AND {conditions.current('k')}) {how}"
            for value in (pairs.number, pairs.text)
        )
        yield Sql(number_or_text, (field.name, field.name))
