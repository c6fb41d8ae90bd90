"""Rows that hold for a span of positions: those that a batch adds to a temporal table, or ends.

Writes are prepared first, as Arrow tables or, if they are small, as values, and executed later:
the two steps may run in two threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from runlore.projections.driver import complete, duckdb

if TYPE_CHECKING:
    from arro3.core import Table

    from runlore.projections.arrow_tables import Schema

Write = Callable[[duckdb.DuckDBPyConnection], None]
"""A prepared write, to be executed inside an open transaction."""

_FEW: Final = 16


def are_few(rows: Sized) -> bool:
    """Whether rows are better written as bound values than as an Arrow table.

    A table takes 1.5 ms, one row of values 60 µs. Most processes ask a few questions after a short
    catch-up, and never import Arrow.
    """
    return len(rows) <= _FEW


class TemporalRows:
    """The changes that one batch makes to one temporal table.

    A row is [*key, *values, from_position, to_position]. `begin` is for a key that has no row
    yet; `put` begins a row and ends the one that held the key before, in this batch or in the
    table; `end` only ends it. The first column of a key is the number of whom it belongs to;
    numbers from `first_new` on are new in this batch, so that the table has no rows of theirs.
    """

    def __init__(self, first_new: int) -> None:
        self.first_new = first_new
        self.rows: list[list[Any]] = []
        self.ended: dict[tuple[Any, ...], int] = {}
        self.replacing: list[list[Any]] = []
        self._open: dict[tuple[Any, ...], list[Any]] = {}
        self._vanished = False

    def begin(self, key: tuple[Any, ...], row: list[Any]) -> None:
        """The row holds from now on, and the key never had one before."""
        self._open[key] = row
        self.rows.append(row)

    def put(self, key: tuple[Any, ...], row: list[Any]) -> None:
        """The row holds from now on."""
        if key in self._open or key[0] < self.first_new:
            self.end(key, row[-2])
        self._open[key] = row
        self.rows.append(row)

    def put_once(self, key: tuple[Any, ...], row: list[Any]) -> None:
        """Like `begin`, but keeps a row that this batch already gave the key."""
        if key not in self._open:
            self.begin(key, row)

    def replace(self, key: tuple[Any, ...], row: list[Any]) -> None:
        """The row holds from now on and ends an earlier one of `put_once`."""
        self.end(key, row[-2])
        if key[0] < self.first_new:  # A row in the table must end as well.
            self.ended.setdefault(key, row[-2])
        self._open[key] = row
        self.replacing.append(row)

    def end(self, key: tuple[Any, ...], position: int) -> None:
        """From `position` on, the key has no values."""
        held = self._open.pop(key, None)
        if held is not None:
            held[-1] = position
            self._vanished |= held[-2] == position
        elif key[0] < self.first_new:
            self.ended.setdefault(key, position)

    @property
    def lasting(self) -> list[list[Any]]:
        """The rows, without those that came and went at one position."""
        if not self._vanished:
            return self.rows
        return [row for row in self.rows if row[-1] != row[-2]]


class TemporalTable:
    """A temporal table's name, key and columns, and how a batch is written to it."""

    def __init__(self, name: str, key: Sequence[str], schema: Schema) -> None:
        self.name: Final = name
        self._schema = schema
        self._ended_schema = {**{column: schema[column] for column in key}, "position": "int64"}
        matches = " AND ".join(f"t.{column} = e.{column}" for column in key)
        self._add_once = (
            f"INSERT INTO {name} SELECT * FROM added ANTI JOIN {name} USING ({', '.join(key)})"
        )
        # A key that begins in this batch was never in the table; the condition on
        # from_position keeps a batch that is delivered again from ending its own rows.
        ends = f"UPDATE {name} t SET to_position = e.position FROM ended e WHERE {matches}"
        lasts = "AND t.to_position IS NULL AND t.from_position < e.position"
        # The bounds skip most of a large table: rows that end soon stand near its end.
        owner = f"t.{key[0]}"
        self._end = f"{ends} AND {owner} BETWEEN ? AND ? {lasts}"

    def prepared(self, batch: TemporalRows) -> list[Write]:
        """The writes that end rows and add the batch's lasting ones."""
        return self._ends(batch) + insertion(self.name, batch.lasting, self._schema)

    def prepared_once(self, batch: TemporalRows) -> list[Write]:
        """The writes that add the batch's rows, except those whose key is in the table already.

        Rows that replace others are added after them and end them.
        """
        new = [row for row in batch.rows if row[0] >= batch.first_new]
        old = [row for row in batch.rows if row[0] < batch.first_new]
        writes = self._ends(batch) + insertion(self.name, new, self._schema)
        if old:
            writes.append(_with(old, "added", self._schema, self._add_once, ()))
        return writes + insertion(self.name, batch.replacing, self._schema)

    def _ends(self, batch: TemporalRows) -> list[Write]:
        if not batch.ended:
            return []
        ended = [(*key, position) for key, position in batch.ended.items()]
        owners = [key[0] for key in batch.ended]
        bounds = [min(owners), max(owners)]
        return [_with(ended, "ended", self._ended_schema, self._end, bounds)]


def _table_of_rows(rows: Sequence[Sequence[Any]], schema: Schema) -> Table:
    """Rows, one at least, as an Arrow table."""
    # Imported here: it takes longer than to write a few rows without it.
    from runlore.projections import arrow_tables

    return arrow_tables.table_of_rows(rows, schema)


def _table_of_columns(columns: Sequence[Sequence[Any]], schema: Schema) -> Table:
    from runlore.projections import arrow_tables

    return arrow_tables.table_of_columns(columns, schema)


def with_table(connection: duckdb.DuckDBPyConnection, name: str, table: Table) -> None:
    """Makes an Arrow table visible to SQL under a name, until it is unregistered."""
    complete()
    connection.register(name, table)


@contextmanager
def with_rows(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    rows: Sequence[Sequence[Any]],
    schema: Schema,
) -> Iterator[None]:
    """Makes rows visible to SQL under a name, inside the block."""
    with_table(connection, name, _table_of_rows(rows, schema))
    yield
    connection.unregister(name)


def insertion(name: str, rows: Sequence[Sequence[Any]], schema: Schema) -> list[Write]:
    """The writes that add rows to a table whose columns are the schema's, in order."""
    if not rows:
        return []
    if are_few(rows):
        return [partial(_insert_values, name=name, rows=rows)]
    return [partial(insert_table, name=name, table=_table_of_rows(rows, schema))]


def insertion_of_columns(
    name: str, columns: Sequence[Sequence[Any]], schema: Schema
) -> list[Write]:
    """The same from columns of one length."""
    if are_few(columns[0]):
        return insertion(name, list(zip(*columns, strict=True)), schema)
    return [partial(insert_table, name=name, table=_table_of_columns(columns, schema))]


def insert(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    rows: Sequence[Sequence[Any]],
    schema: Schema,
) -> None:
    """Adds rows to a table, whose columns are the schema's, in order."""
    for write in insertion(name, rows, schema):
        write(connection)


def insert_table(connection: duckdb.DuckDBPyConnection, name: str, table: Table) -> None:
    """Adds an Arrow table to one whose columns are the same, in order."""
    with_table(connection, "added", table)
    connection.execute(f"INSERT INTO {name} SELECT * FROM added")
    connection.unregister("added")


def _insert_values(
    connection: duckdb.DuckDBPyConnection, name: str, rows: Sequence[Sequence[Any]]
) -> None:
    one = f"({', '.join('?' * len(rows[0]))})"
    connection.execute(
        f"INSERT INTO {name} VALUES {', '.join([one] * len(rows))}",
        [value for row in rows for value in row],
    )


_SQL_TYPES: Final = {
    "int64": "BIGINT",
    "string": "VARCHAR",
    "bool": "BOOLEAN",
    "double": "DOUBLE",
}


def _with(
    rows: Sequence[Sequence[Any]],
    name: str,
    schema: Schema,
    statement: str,
    params: Sequence[Any],
) -> Write:
    """A write that executes a statement which sees the rows as a table of this name."""
    if not are_few(rows):
        return partial(
            _execute_with_table,
            name=name,
            table=_table_of_rows(rows, schema),
            statement=statement,
            params=params,
        )
    one = ", ".join(f"?::{_SQL_TYPES[type]}" for type in schema.values())
    values = ", ".join([f"({one})"] * len(rows))
    few = f"WITH {name}({', '.join(schema)}) AS (VALUES {values}) {statement}"
    return partial(
        _execute, statement=few, params=[*(value for row in rows for value in row), *params]
    )


def _execute_with_table(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    table: Table,
    statement: str,
    params: Sequence[Any],
) -> None:
    with_table(connection, name, table)
    connection.execute(statement, params)
    connection.unregister(name)


def _execute(connection: duckdb.DuckDBPyConnection, statement: str, params: Sequence[Any]) -> None:
    connection.execute(statement, params)
