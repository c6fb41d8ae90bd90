"""Runs gathered by the values of a field, with an aggregate of each column of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import duckdb
from arro3.core import Table

from runlore.domain.errors import InvalidInput
from runlore.domain.filtering.fields import Field
from runlore.projections.arrow_tables import answer
from runlore.projections.conditions import Conditions
from runlore.projections.run_cells import registered
from runlore.projections.runs_table import TableOptions, runs_table
from runlore.projections.sql_result import SqlResult

AGGREGATES: Final[Mapping[str, str]] = {
    "mean": "avg",
    "median": "median",
    "min": "min",
    "max": "max",
    "sum": "sum",
    "std": "stddev_samp",
}
"""The aggregates of a group's numbers, and DuckDB's functions for them."""

_COLUMNS_AT_ONCE: Final = 8
"""Each number of different values takes a hash table of its own, which does not spill: those of
sixty columns filled 500 MB. So does a wide table of 100,000 runs."""

_NUMBERS: Final = ("BIGINT", "DOUBLE", "INTEGER", "HUGEINT", "UBIGINT", "FLOAT")


class Column(NamedTuple):
    """A column of groups, a value per group.

    `values` are aggregates of finite numbers; for other types the value that all runs of a group
    share, else None. `spreads` are the standard deviations of numbers. `distinct` counts the
    different values in each group.
    """

    values: Sequence[Any]
    spreads: Sequence[float | None] | None
    distinct: Sequence[int]


class Groups(NamedTuple):
    """Groups of runs, the largest first: their values, numbers of runs, and columns.

    `total` is the number of all groups; a page has some of them.
    """

    total: int
    values: Sequence[Any]
    runs: Sequence[int]
    columns: Sequence[Column]


class GroupQuestion(NamedTuple):
    """By which field runs are gathered, what is shown of a group, and which page is asked for."""

    by: Field
    columns: Sequence[Field]
    aggregate: str = "mean"
    offset: int = 0
    limit: int = 100

    def check(self) -> None:
        """Raise InvalidInput for an unknown aggregate."""
        if self.aggregate not in AGGREGATES:
            raise InvalidInput(
                f"agg is {self.aggregate!r:.80}; it takes one of {', '.join(AGGREGATES)}"
            )


def groups(
    connection: duckdb.DuckDBPyConnection, conditions: Conditions, question: GroupQuestion
) -> Groups:
    """The groups of the matching runs. Costs a table of all of them for each few columns."""
    columns: list[Column] = []
    with _table(connection, conditions, [question.by]):
        page = answer(connection.sql(_page(question)))
        total = len(answer(connection.sql("SELECT DISTINCT c0 FROM grouped_runs")))
    with registered(connection, "shown_groups", page):
        for first in range(0, len(question.columns), _COLUMNS_AT_ONCE):
            fields = question.columns[first : first + _COLUMNS_AT_ONCE]
            with _table(connection, conditions, [question.by, *fields]):
                columns += _columns(connection, question)
    values, runs, _ = SqlResult(page).first_columns(question.limit)
    return Groups(total, values, runs, columns)


@contextmanager
def _table(
    connection: duckdb.DuckDBPyConnection, conditions: Conditions, fields: Sequence[Field]
) -> Iterator[None]:
    """The matching runs as the view `grouped_runs` with the columns `c0`, `c1` and so on."""
    table = runs_table(connection, conditions, TableOptions(fields, (), None, False, None))
    named = Table.from_arrays(list(table.columns), names=[f"c{n:d}" for n in range(len(fields))])
    with registered(connection, "grouped_runs", named):
        yield


def _page(question: GroupQuestion) -> str:
    return (
        "SELECT c0, count(*) AS n, row_number() OVER (ORDER BY n DESC, c0 NULLS LAST) AS place "
        "FROM grouped_runs GROUP BY c0 ORDER BY place "
        f"LIMIT {question.limit:d} OFFSET {question.offset:d}"
    )


def _columns(connection: duckdb.DuckDBPyConnection, question: GroupQuestion) -> list[Column]:
    """Each column of the table but the first one, with a value per group that is shown."""
    described = connection.execute("DESCRIBE FROM grouped_runs").fetchall()
    types = {row[0]: row[1] for row in described[1:]}
    function = AGGREGATES[question.aggregate]
    cells = [cell for name, type_ in types.items() for cell in _cells(name, type_, function)]
    found = connection.sql(
        f"SELECT {', '.join(cells)} FROM shown_groups g "
        "JOIN grouped_runs r ON r.c0 IS NOT DISTINCT FROM g.c0 GROUP BY g.place ORDER BY g.place"
    )
    held = SqlResult(answer(found)).first_columns(question.limit)
    return [
        Column(values, spreads if type_ in _NUMBERS else None, distinct)
        for type_, values, spreads, distinct in zip(
            types.values(), held[0::3], held[1::3], held[2::3], strict=True
        )
    ]


def _cells(column: str, type_: str, function: str) -> tuple[str, str, str]:
    """The aggregate, the spread, and the number of different values of a column."""
    distinct = f"count(DISTINCT {column})"
    if type_ in _NUMBERS:
        number = f"{column}::DOUBLE"
        finite = f"FILTER (WHERE isfinite({number}))"
        value = f"{function}({number}) {finite}"
        if function not in ("sum", "stddev_samp"):  # The mean of equal numbers is not quite theirs.
            equal = f"min({number}) {finite} = max({number}) {finite}"
            value = f"CASE WHEN {equal} THEN min({number}) {finite} ELSE {value} END"
        return value, f"stddev_samp({number}) {finite}", distinct
    is_one = f"{distinct} = 1 AND count({column}) = count(*)"
    return f"CASE WHEN {is_one} THEN any_value({column}) END", "NULL", distinct
