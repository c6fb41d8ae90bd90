"""Expressions of the filter language as SQL over runs `r` and their states `s`.

Texts and numbers of a filter are bound parameters; all SQL is from this module. A comparison with
what a run lacks is false, so its `not` is true. NaN is neither less nor greater than a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Final

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
from runlore.domain.filtering.parser import parse_filter
from runlore.domain.human_time import duration_of, time_of
from runlore.projections.conditions import Conditions, Sql
from runlore.projections.driver import duckdb
from runlore.projections.field_sql import AGGREGATES, PAIRS, attribute, microseconds
from runlore.projections.metric_summaries_as_of import latest_as_of
from runlore.projections.series import series_numbers

_SEARCHED: Final = ("name", "id", "description", "experiment", "user")
_STATUS: Final = Field(Namespace.ATTRIBUTE, "status")
_ARCHIVED: Final = Field(Namespace.ATTRIBUTE, "archived")
_OPERATORS: Final = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


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


def add_where_text(
    connection: duckdb.DuckDBPyConnection, conditions: Conditions, text: str
) -> bool:
    """Add what a filter demands; return whether it says which archived runs are meant.

    Raises FilterError.
    """
    expression = parse_filter(text)
    add_where(connection, conditions, expression)
    return _ARCHIVED in fields_of(expression)


def add_search(conditions: Conditions, text: str) -> None:
    """Add that a run has the text in what people call it by, or that it is the run's status."""
    now = datetime.now(UTC)
    places = [attribute(Field(Namespace.ATTRIBUTE, name), conditions, now) for name in _SEARCHED]
    found = " OR ".join(f"contains(lower({place}), lower(?))" for place in places)
    found += f" OR lower({attribute(_STATUS, conditions, now)}) = lower(?)"  # A part is in many.
    tagged = (
        "r.run_no IN (SELECT k.run_no FROM store.run_tags k WHERE (contains(lower(k.key), lower(?))"
        f" OR contains(lower(k.value), lower(?))) AND {conditions.current('k')})"
    )
    conditions.add(f"(coalesce({found}, false) OR {tagged})", *[text] * (len(places) + 3))


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

    def sql(self, expression: Expression) -> Sql:
        match expression:
            case And(inner):
                return self._joined(" AND ", inner)
            case Or(inner):
                return self._joined(" OR ", inner)
            case Not(inner):
                text, params = self.sql(inner)
                return Sql(f"NOT {text}", params)
            case Has(field):
                return self._has(field)
            case OneOf(field, values):
                return self._joined(" OR ", [Comparison(field, "=", value) for value in values])
            case Comparison(field, operator, value):
                return self._comparison(field, operator, value)

    def _joined(self, operator: str, expressions: Sequence[Expression]) -> Sql:
        parts = [self.sql(expression) for expression in expressions]
        text = operator.join(part.text for part in parts)
        return Sql(f"({text})", tuple(param for part in parts for param in part.params))

    # --- one field ------------------------------------------------------------------------

    def _has(self, field: Field) -> Sql:
        if field.namespace is Namespace.ATTRIBUTE:
            return Sql(f"({self._attribute(field)} IS NOT NULL)")
        if field.namespace is Namespace.METRICS:
            return self._of_metric(field, Sql("true"))
        return self._of_pair(field, Sql("true"))

    def _comparison(self, field: Field, operator: str, value: Value) -> Sql:
        if field.namespace is Namespace.METRICS:
            return self._of_metric(field, _metric_comparison(field, operator, value))
        if field.namespace is Namespace.ATTRIBUTE:
            text, params = self._attribute_comparison(field, operator, value)
            return Sql(f"coalesce({text}, false)", params)
        pairs = PAIRS[field.namespace]
        if field.namespace is Namespace.CONFIG and value.literal and operator in ("=", "!="):
            compared = Sql(f"k.json {_OPERATORS[operator]} ?", (value.literal,))
        elif value.number is not None and isfinite(value.number) and operator in _OPERATORS:
            compared = _number(pairs.number, operator, value.number)
        else:
            compared = _text(pairs.text, operator, value.text)
        return self._of_pair(field, compared)

    def _of_pair(self, field: Field, compared: Sql) -> Sql:
        # IN, not EXISTS: each is asked once, for all runs, before any other table.
        return Sql(
            f"(r.run_no IN (SELECT k.run_no FROM {PAIRS[field.namespace].table} k "
            f"WHERE k.key = ? AND {self._conditions.current('k')} AND {compared.text}))",
            (field.name, *compared.params),
        )

    def _of_metric(self, field: Field, compared: Sql) -> Sql:
        number = self._series.get((field.name, ""), 0)
        as_of = self._conditions.as_of
        query = f"SELECT k.run_no FROM {{}} k WHERE k.series_no = {number:d} AND {compared.text}"
        if as_of is None:
            return Sql(f"(r.run_no IN ({query.format('store.metric_latest')}))", compared.params)
        with latest_as_of(self._connection, as_of, only=f"series_no = {number:d}") as latest:
            found = self._connection.execute(query.format(latest), compared.params).fetchall()
        return Sql("list_contains(?::BIGINT[], r.run_no)", ([run_no for (run_no,) in found],))

    def _attribute(self, field: Field) -> str:
        return attribute(field, self._conditions, self._now)

    def _attribute_comparison(self, field: Field, operator: str, value: Value) -> Sql:
        expression = self._attribute(field)
        match ATTRIBUTES[field.name]:
            case Kind.WHOLE:
                return _number(expression, operator, value.number)
            case Kind.DURATION:
                return _number(expression, operator, duration_of(value.text))
            case Kind.TIME:
                time = time_of(value.text, self._now) or self._now  # The parser has looked.
                return _number(expression, operator, microseconds(time))
            case Kind.FLAG:
                return Sql(f"({expression}) {_OPERATORS[operator]} ?", (value.literal == "true",))
        return _text(expression, operator, value.text)


def _metric_comparison(field: Field, operator: str, value: Value) -> Sql:
    expression = AGGREGATES[field.aggregate]
    if operator not in _OPERATORS or value.number is None:
        return _text("k.last_text", operator, value.text)
    if value.number != value.number:
        return Sql(f"{'NOT ' * (operator == '!=')}isnan({expression})")
    return _number(expression, operator, value.number)


def _number(expression: str, operator: str, number: float | None) -> Sql:
    number_only = "" if operator == "!=" else f" AND NOT isnan({expression}::DOUBLE)"
    return Sql(f"({expression} {_OPERATORS[operator]} ?{number_only})", (number,))


def _text(expression: str, operator: str, text: str) -> Sql:
    if operator in _OPERATORS:
        return Sql(f"({expression} {_OPERATORS[operator]} ?)", (text,))
    contains = f"contains(lower({expression}), lower(?))"
    return Sql(contains if operator == "~" else f"(NOT {contains})", (text,))
