"""Rows that hold for a span of positions: what a batch adds to a temporal table, and ends in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import duckdb
import pyarrow as pa


class TemporalRows:
    """What one batch does to one temporal table.

    A row is (*key, *values, from_position, to_position). `begin` is for a key that has no row
    yet; `put` begins a row and ends the one that held the key before, in this batch or in the
    table; `end` only ends it.
    """

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self.ended: dict[tuple[Any, ...], int] = {}
        self._open: dict[tuple[Any, ...], list[Any]] = {}

    def begin(self, key: tuple[Any, ...], values: Sequence[Any], position: int) -> None:
        """From `position` on, the key has these values, and never had any before."""
        row = [*key, *values, position, None]
        self._open[key] = row
        self.rows.append(row)

    def put(self, key: tuple[Any, ...], values: Sequence[Any], position: int) -> None:
        """From `position` on, the key has these values."""
        self.end(key, position)
        self.begin(key, values, position)

    def put_once(self, key: tuple[Any, ...], values: Sequence[Any], position: int) -> None:
        """Like `begin`, but values that this batch gave the key before stay."""
        if key not in self._open:
            self.begin(key, values, position)

    def end(self, key: tuple[Any, ...], position: int) -> None:
        """From `position` on, the key has no values."""
        held = self._open.pop(key, None)
        if held is not None:
            held[-1] = position
        else:
            self.ended.setdefault(key, position)


class TemporalTable:
    """A temporal table's name, key and columns, and how a batch is written to it."""

    def __init__(self, name: str, key: Sequence[str], schema: pa.Schema) -> None:
        self.name: Final = name
        self._schema = schema
        self._ended_schema = pa.schema(
            [*(schema.field(column) for column in key), ("position", pa.int64())]
        )
        matches = " AND ".join(f"t.{column} = e.{column}" for column in key)
        self._add_once_statement = (
            f"INSERT INTO {name} SELECT * FROM added ANTI JOIN {name} USING ({', '.join(key)})"
        )
        # A key that begins in this batch was never in the table; the condition on
        # from_position keeps a batch that is delivered twice from ending its own rows.
        self._end_statement = (
            f"UPDATE {name} t SET to_position = e.position FROM ended e "
            f"WHERE {matches} AND t.to_position IS NULL AND t.from_position < e.position"
        )

    def write(self, connection: duckdb.DuckDBPyConnection, batch: TemporalRows) -> None:
        """Ends what the batch ended and adds its rows. No row comes and goes at one position."""
        if batch.ended:
            ended = [(*key, position) for key, position in batch.ended.items()]
            with_table(connection, "ended", arrow(ended, self._ended_schema))
            connection.execute(self._end_statement)
            connection.unregister("ended")
        lasting = [row for row in batch.rows if row[-1] != row[-2]]
        insert(connection, self.name, lasting, self._schema)

    def write_once(self, connection: duckdb.DuckDBPyConnection, batch: TemporalRows) -> None:
        """Adds the batch's rows, but those whose key the table holds already."""
        if batch.rows:
            with_table(connection, "added", arrow(batch.rows, self._schema))
            connection.execute(self._add_once_statement)
            connection.unregister("added")


def arrow(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Rows, one at least, as an Arrow table."""
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def with_table(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Makes an Arrow table visible to SQL under a name, until it is unregistered."""
    connection.register(name, table)


def insert(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    rows: Sequence[Sequence[Any]],
    schema: pa.Schema,
) -> None:
    """Adds rows to a table, whose columns are the schema's, in order."""
    if rows:
        insert_table(connection, name, arrow(rows, schema))


def insert_table(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Adds an Arrow table to one whose columns are the same, in order."""
    with_table(connection, "added", table)
    connection.execute(f"INSERT INTO {name} SELECT * FROM added")
    connection.unregister("added")
