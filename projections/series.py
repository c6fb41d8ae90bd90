"""Series by their names."""

from __future__ import annotations

from collections.abc import Sequence

from runlore.projections.driver import duckdb
from runlore.projections.filters import check_text_filter


def series_numbers(
    connection: duckdb.DuckDBPyConnection, metrics: Sequence[str]
) -> dict[tuple[str, str], int]:
    """The series of scalars and of tables' columns, by metric and column ("" for a scalar)."""
    names = [check_text_filter("metric", metric) for metric in metrics]
    rows = connection.execute(
        "SELECT name, col, series_no FROM store.series WHERE name IN (SELECT unnest(?)) "
        "AND kind = CASE col WHEN '' THEN 'scalar' ELSE 'row' END",
        [names],
    ).fetchall()
    return {(name, column): number for name, column, number in rows}
