"""Expressions of the filter language as SQL over runs `r` and their states `s`.

Texts and numbers of a filter are bound parameters; all SQL is from this module. A comparison with
what a run lacks is false, so its `not` is true. NaN is neither less nor greater than a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Final, NamedTuple

import duckdb

from runlore.domain.filtering.expressions import (
    And,
    Comparison,
    Expression,
    Has,
    Not,
    OneOf,
    Or,
    Value,
    fields_of,
)
from runlore.domain.filtering.fields import ATTRIBUTES, Field, Kind, Namespace
from runlore.domain.human_time import duration_of, time_of
from runlore.projections.conditions import Conditions
from runlore.projections.metric_summaries_as_of import latest_as_of
from runlore.projections.series import series_numbers
from runlore.projections.views import ACTORS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_OPERATORS: Final = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

# `{now}` is the time of the question in microseconds, `{named}` and `{held}` are conditions.
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
    "THEN (s.ran_us + coalesce({now:d} - s.running_since, 0)) / 1e6 END",
    "type": "coalesce(r.run_type, (SELECT k.value FROM store.run_properties k "
    "WHERE k.run_no = r.run_no AND k.key = 'azureml.runsource' AND {held}))",
    "target": "coalesce(r.target, 'local')",
    "user": f"coalesce((SELECT a.actor FROM {ACTORS} a WHERE a.position = r.position), "
    "(SELECT w.actor FROM store.writers w WHERE w.writer_id = r.writer_id))",
    "host": "(SELECT w.host FROM store.writers w WHERE w.writer_id = r.writer_id)",
    "parent": "r.parent_id",
    "root": "r.root_id",
    "depth": "r.depth",
    "description": "s.description",
    "error": "s.error->>'$.message'",
    "error_code": "s.error->>'$.code'",
    "lost": "s.before_loss IS NOT NULL",
    "archived": "s.archived_at IS NOT NULL",
}

_AGGREGATES: Final[Mapping[str, str]] = {
    "last": "k.last",
    "first": "k.first",
    "min": "k.min",
    "max": "k.max",
    "mean": "CASE WHEN k.numbers > k.nonfinite THEN k.sum / (k.numbers - k.nonfinite) END",
    "n": "k.n",
}


class _Pairs(NamedTuple):
    """A table of keys and values, and its values as text and as numbers."""

    table: str
    text: str
    number: str


_PAIRS: Final[Mapping[Namespace, _Pairs]] = {
    Namespace.TAGS: _Pairs("store.run_tags", "k.value", "TRY_CAST(k.value AS DOUBLE)"),
    Namespace.PROPERTIES: _Pairs("store.run_properties", "k.value", "TRY_CAST(k.value AS DOUBLE)"),
    Namespace.CONFIG: _Pairs(
        "store.run_config",
        "CASE WHEN starts_with(k.json, '\"') THEN k.json->>'$' ELSE k.json END",
        "k.number",
    ),
}


class _Sql(NamedTuple):
    text: str
    params: tuple[Any, ...] = ()


def add_where(
    connection: duckdb.DuckDBPyConnection,
    conditions: Conditions,
    expression: Expression,
    now: datetime | None = None,
) -> None:
    """Add what an expression demands; times such as `2 hours ago` count from `now`."""
    metrics = [field.name for field in fields_of(expression) if field.namespace == "metrics"]
    series = series_numbers(connection, metrics) if metrics else {}
    writer = _Writer(connection, conditions, series, now or datetime.now(UTC))
    text, params = writer.sql(expression)
    conditions.add(text, *params)


class _Writer:
    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        conditions: Conditions,
        series: Mapping[tuple[str, str], int],
        now: datetime,
    ) -> None:
        self._connection = connection
        self._conditions = conditions
        self._series = series
        self._now = now

    def sql(self, expression: Expression) -> _Sql:
        match expression:
            case And(inner):
                return self._joined(" AND ", inner)
            case Or(inner):
                return self._joined(" OR ", inner)
            case Not(inner):
                text, params = self.sql(inner)
                return _Sql(f"NOT {text}", params)
            case Has(field):
                return self._has(field)
            case OneOf(field, values):
                return self._joined(" OR ", [Comparison(field, "=", value) for value in values])
            case Comparison(field, operator, value):
                return self._comparison(field, operator, value)

    def _joined(self, operator: str, expressions: Sequence[Expression]) -> _Sql:
        parts = [self.sql(expression) for expression in expressions]
        text = operator.join(part.text for part in parts)
        return _Sql(f"({text})", tuple(param for part in parts for param in part.params))

    # --- one field ------------------------------------------------------------------------

    def _has(self, field: Field) -> _Sql:
        if field.namespace is Namespace.ATTRIBUTE:
            return _Sql(f"({self._attribute(field)} IS NOT NULL)")
        if field.namespace is Namespace.METRICS:
            return self._of_metric(field, _Sql("true"))
        return self._of_pair(field, _Sql("true"))

    def _comparison(self, field: Field, operator: str, value: Value) -> _Sql:
        if field.namespace is Namespace.METRICS:
            return self._of_metric(field, _metric_comparison(field, operator, value))
        if field.namespace is Namespace.ATTRIBUTE:
            text, params = self._attribute_comparison(field, operator, value)
            return _Sql(f"coalesce({text}, false)", params)
        pairs = _PAIRS[field.namespace]
        if field.namespace is Namespace.CONFIG and value.literal and operator in ("=", "!="):
            compared = _Sql(f"k.json {_OPERATORS[operator]} ?", (value.literal,))
        elif value.number is not None and isfinite(value.number) and operator in _OPERATORS:
            compared = _number(pairs.number, operator, value.number)
        else:
            compared = _text(pairs.text, operator, value.text)
        return self._of_pair(field, compared)

    def _of_pair(self, field: Field, compared: _Sql) -> _Sql:
        # IN, not EXISTS: each is asked once, for all runs, before any other table.
        return _Sql(
            f"(r.run_no IN (SELECT k.run_no FROM {_PAIRS[field.namespace].table} k "
            f"WHERE k.key = ? AND {self._conditions.current('k')} AND {compared.text}))",
            (field.name, *compared.params),
        )

    def _of_metric(self, field: Field, compared: _Sql) -> _Sql:
        number = self._series.get((field.name, ""), 0)
        as_of = self._conditions.as_of
        query = f"SELECT k.run_no FROM {{}} k WHERE k.series_no = {number:d} AND {compared.text}"
        if as_of is None:
            return _Sql(f"(r.run_no IN ({query.format('store.metric_latest')}))", compared.params)
        with latest_as_of(self._connection, as_of, only=f"series_no = {number:d}") as latest:
            found = self._connection.execute(query.format(latest), compared.params).fetchall()
        return _Sql("list_contains(?::BIGINT[], r.run_no)", ([run_no for (run_no,) in found],))

    def _attribute(self, field: Field) -> str:
        return _ATTRIBUTES[field.name].format(
            now=(self._now - _EPOCH) // _MICROSECOND,
            named=self._conditions.current("e"),
            held=self._conditions.current("k"),
        )

    def _attribute_comparison(self, field: Field, operator: str, value: Value) -> _Sql:
        expression = self._attribute(field)
        match ATTRIBUTES[field.name]:
            case Kind.WHOLE:
                return _number(expression, operator, value.number)
            case Kind.DURATION:
                return _number(expression, operator, duration_of(value.text))
            case Kind.TIME:
                time = time_of(value.text, self._now) or _EPOCH  # The parser has looked.
                return _number(expression, operator, (time - _EPOCH) // _MICROSECOND)
            case Kind.FLAG:
                return _Sql(f"({expression}) {_OPERATORS[operator]} ?", (value.literal == "true",))
        return _text(expression, operator, value.text)


def _metric_comparison(field: Field, operator: str, value: Value) -> _Sql:
    expression = _AGGREGATES[field.aggregate]
    if operator not in _OPERATORS or value.number is None:
        return _text("k.last_text", operator, value.text)
    if value.number != value.number:
        return _Sql(f"{'NOT ' * (operator == '!=')}isnan({expression})")
    return _number(expression, operator, value.number)


def _number(expression: str, operator: str, number: float | None) -> _Sql:
    number_only = "" if operator == "!=" else f" AND NOT isnan({expression}::DOUBLE)"
    return _Sql(f"({expression} {_OPERATORS[operator]} ?{number_only})", (number,))


def _text(expression: str, operator: str, text: str) -> _Sql:
    if operator in _OPERATORS:
        return _Sql(f"({expression} {_OPERATORS[operator]} ?)", (text,))
    contains = f"contains(lower({expression}), lower(?))"
    return _Sql(contains if operator == "~" else f"(NOT {contains})", (text,))
