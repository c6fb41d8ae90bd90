"""Runs with some of their metrics beside them: a row per run, a column per metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from runlore.domain.errors import InvalidInput
from runlore.projections.conditions import Conditions
from runlore.projections.curves import restored_value
from runlore.projections.driver import duckdb
from runlore.projections.metric_summaries_as_of import latest_as_of
from runlore.projections.rows import RunRow
from runlore.projections.series import series_numbers
from runlore.projections.trees import runs_then

_SUMMARIES: Final = {
    "last": "last",
    "min": "min",
    "max": "max",
    "mean": "CASE WHEN numbers > nonfinite THEN sum / (numbers - nonfinite) END",
    "n": "n",
    "numbers": "numbers",
    "n_nonfinite": "nonfinite",
    "first": "first",
    "latest": "latest",
    "min_step": "min_step",
    "max_step": "max_step",
    "first_step": "first_step",
    "last_step": "last_step",
}
_OPERATORS: Final = ("<", "<=", "=", "<>", ">=", ">")


class MetricColumn(NamedTuple):
    """A metric's summary in a table: one of the columns of the view `metrics`, see docs/sql.md.

    `column` is that of a row or table; empty for a scalar.
    """

    metric: str
    column: str = ""
    what: str = "last"


class MetricFilter(NamedTuple):
    """A condition on a metric, such as `MetricFilter(MetricColumn("loss"), "<", 0.5)`.

    Numbers only. A run without the metric does not match; NaN is greater than all numbers.
    """

    column: MetricColumn
    operator: str
    value: float


class TableRow(NamedTuple):
    """A run and, per column, its value: exactly as it was logged for `last`, None for none."""

    run: RunRow
    values: tuple[Any, ...]


# `metric_latest` is read once, whatever the number of columns.
_TABLE: Final = """
WITH wide AS (
    SELECT run_no {cells} FROM {latest} WHERE series_no IN ({series}) GROUP BY run_no
)
SELECT r.run_id, e.name, e.experiment_id, r.number, r.parent_id, r.root_id, r.run_type, s.status,
       r.created_at, {names}
FROM {runs} r
JOIN store.run_states s ON s.run_no = r.run_no AND {current}
JOIN store.experiment_states e ON e.experiment_no = r.experiment_no AND {named}
LEFT JOIN wide m ON m.run_no = r.run_no
{where}
ORDER BY {order} s.begun_at DESC, r.run_no DESC
{limit}
"""


def run_table(
    connection: duckdb.DuckDBPyConnection,
    conditions: Conditions,
    columns: Sequence[MetricColumn],
    filters: Sequence[MetricFilter],
    order_by: MetricColumn | None,
    descending: bool,
    limit: int | None,
) -> list[TableRow]:
    """The matching runs, newest first or by a column; see `RunsReader.run_table`."""
    wanted = list(
        dict.fromkeys([*columns, *(filter_.column for filter_ in filters), *_given(order_by)])
    )
    held = series_numbers(connection, [column.metric for column in wanted])
    numbers = [held.get((column.metric, column.column), 0) for column in wanted]
    cells = [
        f"any_value({expression}) FILTER (series_no = {number:d}) AS {name}"
        for place, (column, number) in enumerate(zip(wanted, numbers, strict=True))
        for name, expression in _cells(place, column)
    ]
    for filter_ in filters:
        conditions.add(
            f"m.v{wanted.index(filter_.column):d} {_operator(filter_)} ?", float(filter_.value)
        )
    direction = "DESC" if descending else "ASC"
    series = ", ".join(map(str, numbers)) or "0"
    with latest_as_of(connection, conditions.as_of, only=f"series_no IN ({series})") as latest:
        query = _TABLE.format(
            runs=runs_then(connection, conditions.as_of),
            latest=latest,
            current=conditions.current("s"),
            named=conditions.current("e"),
            cells="".join(f", {cell}" for cell in cells),
            series=series,
            names=", ".join(
                f"m.v{place}, m.t{place}, m.y{place}" for place in map(wanted.index, columns)
            )
            or "NULL",
            where=conditions.where(),
            order=""
            if order_by is None
            else f"m.v{wanted.index(order_by)} {direction} NULLS LAST, ",
            limit="" if limit is None else f"LIMIT {limit:d}",
        )
        rows = connection.execute(query, conditions.params).fetchall()
    shown = len(RunRow._fields)
    return [TableRow(RunRow(*row[:shown]), _values(row[shown:], columns)) for row in rows]


def check_columns(columns: Sequence[MetricColumn], filters: Sequence[MetricFilter]) -> None:
    """Raises InvalidInput for an unknown summary or operator."""
    for column in [*columns, *(filter_.column for filter_ in filters)]:
        _summary(column)
    for filter_ in filters:
        _operator(filter_)
        if isinstance(filter_.value, bool) or not isinstance(filter_.value, int | float):
            raise InvalidInput(
                f"a metric is compared with {filter_.value!r:.80}; it takes a number"
            )


def _given(order_by: MetricColumn | None) -> tuple[MetricColumn, ...]:
    return () if order_by is None else (order_by,)


def _cells(place: int, column: MetricColumn) -> list[tuple[str, str]]:
    exact = column.what == "last"
    return [
        (f"v{place:d}", _summary(column)),
        (f"t{place:d}", "last_text" if exact else "NULL::VARCHAR"),
        (f"y{place:d}", "last_type" if exact else "NULL::UTINYINT"),
    ]


def _values(cells: Sequence[Any], columns: Sequence[MetricColumn]) -> tuple[Any, ...]:
    return tuple(
        cells[3 * place]
        if cells[3 * place + 2] is None
        else restored_value(*cells[3 * place : 3 * place + 3])
        for place in range(len(columns))
    )


def _summary(column: MetricColumn) -> str:
    if column.what not in _SUMMARIES:
        raise InvalidInput(
            f"a table shows {column.what!r:.80} of a metric; it takes {', '.join(_SUMMARIES)}"
        )
    return _SUMMARIES[column.what]


def _operator(filter_: MetricFilter) -> str:
    if filter_.operator not in _OPERATORS:
        raise InvalidInput(
            f"a metric is compared by {filter_.operator!r:.80}; it takes {' '.join(_OPERATORS)}"
        )
    return filter_.operator
