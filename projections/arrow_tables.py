"""Columns on their way to DuckDB and back, as Arrow tables.

The one module that knows an Arrow library. It is arro3: 11 MB and 3 ms to import, where pyarrow
takes 170 MB and 200 ms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from arro3.core import (
    Array,
    ChunkedArray,
    DataType,
    RecordBatch,
    RecordBatchReader,
    Table,
    list_flatten,
    struct_field,
)

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

    from runlore.storage.value_arrays import Ints

Schema = Mapping[str, str]
"""A table's columns, by name, and their types: keys of `TYPES`."""

TYPES: Final = {
    "bool": DataType.bool(),
    "double": DataType.float64(),
    "int32": DataType.int32(),
    "int64": DataType.int64(),
    "string": DataType.large_string(),  # The offsets of a plain one end at 2 GB.
}


# --- to DuckDB --------------------------------------------------------------------------------


def table_of_rows(rows: Sequence[Sequence[Any]], schema: Schema) -> Table:
    """Rows, one at least, as a table."""
    return table_of_columns(list(zip(*rows, strict=True)), schema)


def table_of_columns(columns: Sequence[Sequence[Any]], schema: Schema) -> Table:
    """Columns of Python values, None for NULL, as a table."""
    arrays = [
        Array(list(column), TYPES[type])
        for column, type in zip(columns, schema.values(), strict=True)
    ]
    return Table.from_arrays(arrays, names=list(schema))


def table_of_arrays(columns: Mapping[str, Array | NDArray[Any]]) -> Table:
    """Arrays of one length as a table."""
    arrays = [
        column if isinstance(column, Array) else numbers(column) for column in columns.values()
    ]
    return Table.from_arrays(arrays, names=list(columns))


def numbers(values: NDArray[Any], valid: NDArray[Any] | None = None) -> Array:
    """The numbers, and NULL where they are not valid. NaN is a value of its own, and no NULL."""
    array = Array(values if values.flags.c_contiguous else values.copy())
    if valid is None or valid.all():
        return array
    places = [place if is_valid else None for place, is_valid in enumerate(valid.tolist())]
    return array.take(Array(places, DataType.uint64()))


def texts(values: Sequence[str | None]) -> Array:
    """The texts, and NULL for None."""
    return Array(values, TYPES["string"])


def concatenated(tables: Sequence[Table]) -> Table:
    """The rows of tables with the same columns, one at least, one table after the other."""
    batches = [batch for table in tables for batch in table.to_batches()]
    return Table.from_batches(batches, schema=tables[0].schema)


# --- from DuckDB ------------------------------------------------------------------------------


class Rows:
    """The rows of a query, which runs while its batches are read; a batch has 131,072 rows.

    The connection can be used again after the last one, or after `close`.
    """

    def __init__(self, relation: duckdb.DuckDBPyRelation) -> None:
        self._reader: RecordBatchReader | None = stream(relation)
        self._schema = self._reader.schema

    def __iter__(self) -> Iterator[RecordBatch]:
        """Raises duckdb.Error: in a stream, errors have lost their class."""
        while self._reader is not None:
            try:
                batch = self._reader.read_next_batch()
            except StopIteration:
                return
            except Exception as error:
                raise _as_duckdb_says_it(error) from error
            yield batch

    def table(self, batches: Sequence[RecordBatch]) -> Table:
        """The batches as one table."""
        return Table.from_batches(batches, schema=self._schema)

    def close(self) -> None:
        """Ends the query."""
        self._reader = None


def stream(relation: duckdb.DuckDBPyRelation) -> RecordBatchReader:
    """The rows of a query, which another database can read while it runs."""
    return RecordBatchReader.from_arrow(relation)


def _as_duckdb_says_it(error: Exception) -> duckdb.Error:
    # Imported here: values are read from a log, too, without DuckDB.
    import duckdb

    text = str(error).removeprefix("C Data interface error: ")
    if text.startswith("Out of Memory Error"):
        return duckdb.OutOfMemoryException(text)
    return duckdb.Error(text)


def answer(relation: duckdb.DuckDBPyRelation) -> Table:
    """All rows of a query. Raises duckdb.Error."""
    rows = Rows(relation)
    return rows.table(list(rows))


def array_of(table: Table, name: str) -> Array:
    """A column as one array."""
    return whole(table[name])


def whole(found: ChunkedArray) -> Array:
    """The parts of a column as one array."""
    if found.type == DataType.string():
        found = found.cast(TYPES["string"])
    if found.num_chunks:
        return found.combine_chunks()
    empty: Array = Array([], TYPES["int64"])  # arro3 makes none of times.
    return empty.cast(found.type)


def arrays(table: Table, *names: str) -> tuple[NDArray[Any], ...]:
    """Columns of numbers without NULL."""
    return tuple(array_of(table, name).to_numpy() for name in names)


def taken(table: Table, places: Ints) -> Table:
    """The rows at some places."""
    return table_of_arrays(
        {name: array_of(table, name).take(places) for name in table.column_names}
    )


def has_intervals(type: DataType) -> bool:
    """Whether INTERVAL is the type or a part of it: arro3 and polars cannot read these."""
    return "Interval(" in repr(type)


def has_long_decimals(type: DataType) -> bool:
    """Whether the type is that of a HUGEINT, which may have 39 digits."""
    return "<Decimal128(38, 0)>" in repr(type)


def long_decimals(array: Array) -> list[Any]:
    """The values of such an array; as they are, arro3 leaves out the last of 39 digits."""
    return list(array.cast(DataType.decimal256(40, 0)).to_pylist())


def times_lost(array: Array, values: list[Any]) -> int:
    """How many times of an array are missing in its values: arro3 gives None for those that
    Python's datetime cannot hold, in lists and structs as well.
    """
    kind = array.type
    if DataType.is_temporal(kind):
        return values.count(None) - array.null_count
    if not re.search(r"Date|Time", repr(kind)):
        return 0
    parts: list[Array] = []
    if DataType.is_list(kind) or DataType.is_large_list(kind) or DataType.is_fixed_size_list(kind):
        parts = [list_flatten(array)]
    elif DataType.is_struct(kind):
        parts = [struct_field(array, place) for place in range(kind.num_fields)]
    return sum(times_lost(part, part.to_pylist()) for part in parts)
