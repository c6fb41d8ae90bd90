"""Runs with some of their metrics beside them: a row per run, a column per metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import duckdb

from runlore.domain.errors import InvalidInput
from runlore.projections.conditions import Conditions
from runlore.projections.curves import restored_value, series_numbers
from runlore.projections.metric_summaries_as_of import latest_as_of
from runlore.projections.rows import RunRow
from runlore.projections.trees import runs_then

_SUMMARIES: Final = {
    "last": "last",
    "min": "min",
    "max": "max",
    "mean": "CASE WHEN numbers > 0 THEN sum / numbers END",
    "n": "n",
    "first_step": "first_step",
    "last_step": "last_step",
}
_OPERATORS: Final = ("<", "<=", "=", "<>", ">=", ">")


class MetricColumn(NamedTuple):
    """What a table shows of a metric: `last`, `min`, `max`, `mean`, `n`, `first_step`, `last_step`.

    `column` is that of a row or table; empty for a scalar.
    """

    metric: str
    column: str = ""
    what: str = "last"


class MetricFilter(NamedTuple):
    """A condition on a metric, such as `MetricFilter(MetricColumn("loss"), "<", 0.5)`.

    Numbers only. A run without the metric does not fit; NaN is greater than all numbers.
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
JOIN store.experiments e ON e.experiment_no = r.experiment_no
LEFT JOIN wide m ON m.run_no = r.run_no
{where}
ORDER BY {order} coalesce(s.started_at, r.created_at) DESC, r.run_no DESC
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
    """The runs that fit, newest first or by a column; see `RunsReader.run_table`."""
    wanted = list(dict.fromkeys([*columns, *(one.column for one in filters), *_given(order_by)]))
    held = series_numbers(connection, [one.metric for one in wanted])
    numbers = [held.get((one.metric, one.column), 0) for one in wanted]
    cells = [
        f"any_value({expression}) FILTER (series_no = {number:d}) AS {name}"
        for place, (one, number) in enumerate(zip(wanted, numbers, strict=True))
        for name, expression in _cells(place, one)
    ]
    for one in filters:
        conditions.add(f"m.v{wanted.index(one.column):d} {_operator(one)} ?", float(one.value))
    direction = "DESC" if descending else "ASC"
    series = ", ".join(map(str, numbers)) or "0"
    with latest_as_of(connection, conditions.as_of, only=f"series_no IN ({series})") as latest:
        query = _TABLE.format(
            runs=runs_then(connection, conditions.as_of),
            latest=latest,
            current=conditions.current("s"),
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
    """Raises InvalidInput for a summary or an operator that there is not."""
    for one in [*columns, *(each.column for each in filters)]:
        _summary(one)
    for each in filters:
        _operator(each)
        if isinstance(each.value, bool) or not isinstance(each.value, int | float):
            raise InvalidInput(f"a metric is compared with {each.value!r:.80}; it takes a number")


def _given(order_by: MetricColumn | None) -> tuple[MetricColumn, ...]:
    return () if order_by is None else (order_by,)


def _cells(place: int, one: MetricColumn) -> list[tuple[str, str]]:
    exact = one.what == "last"
    return [
        (f"v{place:d}", _summary(one)),
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


def _operator(one: MetricFilter) -> str:
    if one.operator not in _OPERATORS:
        raise InvalidInput(
            f"a metric is compared by {one.operator!r:.80}; it takes {' '.join(_OPERATORS)}"
        )
    return one.operator
