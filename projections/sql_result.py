"""The result of SQL of users, and the forms in which it is given."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import duckdb

from runlore.domain.errors import RunloreError
from runlore.domain.visible_text import visible
from runlore.projections.arrow_tables import (
    has_intervals,
    has_long_decimals,
    long_decimals,
    table_of_arrays,
    times_lost,
    whole,
)
from runlore.projections.driver import connect
from runlore.projections.sql_errors import PyArrowMissing, ValueNotShown
from runlore.shown.tables import ROWS_MAX, shown_table

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow
    from arro3.core import ChunkedArray, Table

_TUPLES: Final = "tuples of Python values"
_LONG: Final = 10**37
"""HUGEINT arrives as a DECIMAL of 38 digits, and may have 39: arro3 would drop the last."""


class SqlResult:
    """The whole result of a query, in memory.

    Libraries that know Arrow's C stream, as polars and DuckDB do, take the object itself. Values
    that a form does not have, such as the year 99999 in tuples, raise ValueNotShown.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self._table.column_names)

    def arrow(self) -> pyarrow.Table:
        """The result as a table of pyarrow; costs nothing. Raises PyArrowMissing."""
        try:
            import pyarrow
        except ImportError as error:
            raise PyArrowMissing from error
        with self._given_as("a table of pyarrow"):
            return pyarrow.table(self._table)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)

    def pandas(self) -> pandas.DataFrame:
        """The result as a pandas frame, as DuckDB makes it; pandas must be installed."""
        import pandas  # noqa: F401 - or else DuckDB would say that it is missing

        with (
            self._given_as("a pandas frame"),
            _shown_by_duckdb(self._table) as relation,
            warnings.catch_warnings(),
        ):
            # DuckDB 2.0 drops columns in a way that pandas 3.1 deprecates.
            warnings.filterwarnings("ignore", "The inplace keyword")
            return relation.df()

    def polars(self) -> polars.DataFrame:
        """The result as a polars frame; polars must be installed."""
        import polars

        with self._given_as("a polars frame"):
            return polars.DataFrame(
                [
                    polars.Series(name, _values(column) if has_intervals(column.type) else column)
                    for name, column in zip(self.columns, self._table.columns, strict=True)
                ]
            )

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The result as a list of tuples."""
        return list(self)

    def __len__(self) -> int:
        return self._table.num_rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        with self._given_as(_TUPLES):
            columns = [_values(column) for column in self._table.columns]
        return zip(*columns, strict=True)

    def __repr__(self) -> str:
        return f"SqlResult({len(self)} rows: {visible(', '.join(self.columns))})"

    def _repr_html_(self) -> str:
        """The first rows in a notebook. Values that tuples do not have are shown as that."""
        return shown_table(self.columns, first_rows(self), total=len(self))

    def first_columns(self, most: int) -> list[list[Any]]:
        """The first values of each column, at most so many; `(not shown)` if Python has none."""
        first = self._table.slice(0, min(most, len(self)))
        return [_shown_values(column) for column in first.columns]

    @contextmanager
    def _given_as(self, form: str) -> Iterator[None]:
        """Inside the block whatever the libraries raise is told as ours."""
        try:
            yield
        except (RunloreError, ImportError):
            raise
        except BaseException as error:
            # A panic of arro3's is not an Exception.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise ValueNotShown(form, self.columns, str(error).partition("\n")[0]) from error


def first_rows(result: SqlResult, most: int = ROWS_MAX) -> list[tuple[Any, ...]]:
    """The first rows of a result for people: no value makes this fail."""
    return list(zip(*result.first_columns(most), strict=True))


def _shown_values(column: ChunkedArray) -> list[Any]:
    try:
        return _values(column)
    except BaseException as error:
        # A panic of arro3's is not an Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        return ["(not shown)"] * len(column)


def _values(column: ChunkedArray) -> list[Any]:
    if not len(column):
        return []
    if has_intervals(column.type):
        return _values_by_duckdb(column)
    array = whole(column)
    values: list[Any] = list(array.to_pylist())
    if lost := times_lost(array, values):
        raise ValueError(f"{lost} of its times are beyond what Python's datetime can hold")
    if has_long_decimals(column.type) and any(v is not None and abs(v) >= _LONG for v in values):
        return long_decimals(array)
    return values


def _values_by_duckdb(column: ChunkedArray) -> list[Any]:
    with _shown_by_duckdb(table_of_arrays({"shown": whole(column)})) as relation:
        return [value for (value,) in relation.fetchall()]


@contextmanager
def _shown_by_duckdb(table: Table) -> Iterator[duckdb.DuckDBPyRelation]:
    """The table as a query of a database of its own, which can give it in other forms."""
    with connect(":memory:", {"threads": "1"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("shown", table)
        yield connection.sql("FROM shown")
