"""Mismatches between two sets of tables of one log, down to the column.

Both are asked for one line per bucket of rows: their number and a sum of their hashes. Only rows
of buckets that differ are read. So tables of any size are compared in the time of reading them
once and in little memory, without moving rows between the databases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from runlore.projections import trees
from runlore.projections.arrow_tables import answer

_ROWS_IN_BUCKET: Final = 10_000
_NUMBERS: Final = ("series_no", "run_no", "experiment_no")

# How points are divided between them depends on when a process caught up; the view over both is
# compared instead. Which of its points are valid follows from the rewinds.
_STORED_OTHERWISE: Final = frozenset({"tail_points", "segments", "valid_points"})
_POINTS: Final = "metric_points"


@dataclass(frozen=True, slots=True)
class RowMismatch:
    """One value that differs; `column` is None for a row that only one side has.

    `key` identifies the row in its table, `position` is that of the event that the row comes
    from, if the table says it. Of a row that is missing or should not be there, `shown` and
    `logged` are the whole row or None.
    """

    table: str
    key: Mapping[str, Any]
    column: str | None
    shown: Any
    logged: Any
    position: int | None


class Table:
    """A table of the schema `store`, or its view of points: its columns, and the key of a row.

    A row comes from one event, so its owner and the event's position identify it.
    """

    def __init__(self, name: str, types: Mapping[str, str]) -> None:
        self.name = name
        self.types = types
        self.begins = next(
            (column for column in ("from_position", "position") if column in types), None
        )
        # Beside a run, its experiment adds nothing.
        numbers = [column for column in _NUMBERS if column in types]
        numbers = numbers[: 2 if "series_no" in types else 1]
        places = ("key", "from_position") if "from_position" in types else ("position", "idx")
        self.key: tuple[str, ...] = (*numbers, *(column for column in places if column in types))

    @property
    def of_workspace(self) -> bool:
        """Whether the rows belong to no run, experiment or writer."""
        return self.name in _OF_WORKSPACE

    @property
    def current_only(self) -> bool:
        """Whether the table knows only the present, and not since when it holds."""
        return self.begins is None and self.name != "series"

    def rows(self, upto_position: int | None) -> str:
        """The query for the table's rows, now or as they were at a position."""
        if upto_position is None:
            return f"FROM store.{self.name}"
        at = f"{upto_position:d}"
        if self.name == "series":
            seen = f"SELECT series_no FROM store.{_POINTS} WHERE position <= {at}"
            return f"FROM store.series WHERE series_no IN ({seen})"
        if self.name == "runs":
            return trees.runs_as_of(upto_position)
        if "to_position" not in self.types:
            return f"FROM store.{self.name} WHERE {self.begins} <= {at}"
        ended = f"CASE WHEN to_position <= {at} THEN to_position END"
        return (
            f"SELECT * REPLACE ({ended} AS to_position) FROM store.{self.name} "
            f"WHERE from_position <= {at}"
        )


class TableById(Table):
    """A table with ids in the place of numbers, and of the chosen runs, experiments and writers.

    So the tables of a whole log can be laid beside those of a part of it, in which numbers and
    trees are others. What is chosen is in temporary tables of the connection: see `choose`.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        numbers = [column for column in _NUMBERS if column in table.types]
        if "run_no" in numbers and table.name != "runs":
            numbers = [column for column in numbers if column != "experiment_no"]
        self._joined = [column for column in numbers if column not in _OWN.get(table.name, ())]
        said = {id_: "VARCHAR" for column in self._joined for id_ in _IDS[column]}
        own = {column: type_ for column, type_ in table.types.items() if column not in _OF_ONE_LOG}
        super().__init__(table.name, {**said, **own})
        ids = [
            column for column in ("run_id", "experiment_id", "writer_id") if column in self.types
        ]
        places = ("key", "from_position") if "from_position" in self.types else ("position", "idx")
        self.key = (*said, *(column for column in places if column in self.types))
        self._owner = "stream" if "stream" in self.types else ids[0]

    def rows(self, upto_position: int | None) -> str:
        joins = "".join(f" JOIN {_TABLES[column]} USING ({column})" for column in self._joined)
        columns = ", ".join(_IN_SERIES.get(column, column) for column in self.types)
        query = f"SELECT {columns} FROM ({self._table.rows(upto_position)}){joins}"
        if upto_position is None:
            return query
        return f"{query} SEMI JOIN temp.chosen_{self._owner} USING ({self._owner})"


_OF_WORKSPACE: Final = frozenset({"identities", "saved_views"})
_OF_ONE_LOG: Final = frozenset(
    {*_NUMBERS, "number", "parent_no", "parent_id", "root_no", "root_id", "depth", "path"}
    | {"awaited_id", "attached_position"}
)
_IDS: Final = {
    "run_no": ("run_id",),
    "experiment_no": ("experiment_id",),
    "series_no": ("metric", "col", "kind"),
}
_OWN: Final = {
    "runs": ("run_no",),
    "experiments": ("experiment_no",),
    "experiment_states": ("experiment_no",),
}
_TABLES: Final = {
    "run_no": "(SELECT run_no, run_id FROM store.runs)",
    "experiment_no": "(SELECT experiment_no, experiment_id FROM store.experiments)",
    "series_no": "store.series",
}
_IN_SERIES: Final = {"metric": "name AS metric"}
_CHOSEN: Final = {
    "run_id": "store.runs",
    "experiment_id": "store.experiments",
    "writer_id": "store.writers",
    "stream": "store.events",
}


def choose(shown: duckdb.DuckDBPyConnection, logged: duckdb.DuckDBPyConnection) -> None:
    """Chooses on one connection the ids that the other's tables contain."""
    for column, table in _CHOSEN.items():
        chosen = answer(logged.sql(f"SELECT DISTINCT {column} FROM {table}"))
        shown.register("added", chosen)
        shown.execute(f"CREATE OR REPLACE TEMP TABLE chosen_{column} AS FROM added")
        shown.unregister("added")


def tables(connection: duckdb.DuckDBPyConnection) -> list[Table]:
    """All tables derived from the log, by name."""
    columns = connection.execute(
        "SELECT table_name, column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'store' ORDER BY table_name, ordinal_position"
    ).fetchall()
    found: dict[str, dict[str, str]] = {}
    for table, column, type_ in columns:
        found.setdefault(table, {})[column] = type_
    return [Table(name, found[name]) for name in found if name not in _STORED_OTHERWISE]


def mismatches(
    shown: duckdb.DuckDBPyConnection,
    logged: duckdb.DuckDBPyConnection,
    table: Table,
    upto_position: int | None = None,
) -> Iterator[RowMismatch]:
    """The mismatches of a table in `shown` with `logged`, which was made from the log alone.

    With `upto_position` the rows of `shown` are taken as they were there, where `logged` stands.
    A table that cannot be read is one difference, without a key.
    """
    try:
        yield from _mismatches(shown, logged, table, upto_position)
    except _Unreadable as error:
        yield RowMismatch(table.name, {}, None, f"cannot be read: {error}", None, None)


def view_mismatches(
    shown: duckdb.DuckDBPyConnection, logged: duckdb.DuckDBPyConnection
) -> Iterator[RowMismatch]:
    """The public views with a wrong definition, which would show right rows wrongly."""
    query = (
        "SELECT view_name, sql FROM duckdb_views() "
        "WHERE schema_name = 'main' AND NOT internal AND NOT temporary"
    )
    held, wanted = (dict(connection.execute(query).fetchall()) for connection in (shown, logged))
    for name in sorted(held.keys() | wanted.keys()):
        if held.get(name) != wanted.get(name):
            yield RowMismatch(
                "views", {"view": name}, "sql", held.get(name), wanted.get(name), None
            )


class _Unreadable(Exception):
    pass


_Row = tuple[Any, ...]


def _mismatches(
    shown: duckdb.DuckDBPyConnection,
    logged: duckdb.DuckDBPyConnection,
    table: Table,
    upto_position: int | None,
) -> Iterator[RowMismatch]:
    [(count,)] = logged.execute(f"SELECT count(*) FROM ({table.rows(None)})").fetchall()
    buckets = count // _ROWS_IN_BUCKET + 1
    sums = _sums(logged, table, buckets, None)
    try:
        held = _sums(shown, table, buckets, upto_position)
    except duckdb.Error as error:
        raise _Unreadable(error) from error
    for bucket in sorted(sums.keys() | held.keys()):
        if sums.get(bucket) != held.get(bucket):
            wrong = _rows(shown, table, buckets, upto_position, bucket)
            right = _rows(logged, table, buckets, None, bucket)
            yield from _compared(wrong, right, table)


def _sums(
    connection: duckdb.DuckDBPyConnection, table: Table, buckets: int, upto_position: int | None
) -> dict[int, _Row]:
    # As text: to the hash of a number, 0.0 is -0.0.
    columns = [
        f"{column}::VARCHAR" if type_ == "DOUBLE" else column
        for column, type_ in table.types.items()
    ]
    hashed = f"hash({', '.join(columns)})"
    rows = connection.execute(
        f"SELECT hash({', '.join(table.key)}) % {buckets} AS bucket, count(*), sum({hashed}), "
        f"bit_xor({hashed}) FROM ({table.rows(upto_position)}) GROUP BY bucket"
    ).fetchall()
    return {bucket: tuple(sums) for bucket, *sums in rows}


def _rows(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    buckets: int,
    upto_position: int | None,
    bucket: int,
) -> dict[_Row, list[_Row]]:
    """The rows of a bucket by their keys; a damaged table may have several of one key."""
    key, columns = ", ".join(table.key), ", ".join(table.types)
    found: dict[_Row, list[_Row]] = {}
    for row in connection.execute(
        f"SELECT {columns} FROM ({table.rows(upto_position)}) "
        f"WHERE hash({key}) % {buckets} = {bucket:d}"
    ).fetchall():
        place = dict(zip(table.types, row, strict=True))
        found.setdefault(tuple(map(place.__getitem__, table.key)), []).append(row)
    return found


def _compared(
    wrong: Mapping[_Row, Sequence[_Row]], right: Mapping[_Row, Sequence[_Row]], table: Table
) -> Iterator[RowMismatch]:
    for key in sorted(wrong.keys() | right.keys(), key=repr):
        extra, missing = _unlike(wrong.get(key, ()), right.get(key, ()))
        named = dict(zip(table.key, key, strict=True))
        if len(extra) == len(missing) == 1:
            yield from _in_columns(table, named, extra[0], missing[0])
            continue
        for row in extra:
            values = dict(zip(table.types, row, strict=True))
            yield RowMismatch(table.name, named, None, values, None, _position(table, row))
        for row in missing:
            values = dict(zip(table.types, row, strict=True))
            yield RowMismatch(table.name, named, None, None, values, _position(table, row))


def _unlike(wrong: Sequence[_Row], right: Sequence[_Row]) -> tuple[list[_Row], list[_Row]]:
    """The rows that only one side has, by their text: NaN is itself, and -0.0 is not 0.0."""
    held, wanted = Counter(map(repr, wrong)), Counter(map(repr, right))
    extra, missing = held - wanted, wanted - held
    return [row for row in wrong if _taken(extra, row)], [
        row for row in right if _taken(missing, row)
    ]


def _taken(left: Counter[str], row: _Row) -> bool:
    left[repr(row)] -= 1
    return left[repr(row)] >= 0


def _in_columns(
    table: Table, key: Mapping[str, Any], wrong: _Row, right: _Row
) -> Iterator[RowMismatch]:
    for column, shown, logged in zip(table.types, wrong, right, strict=True):
        if repr(shown) != repr(logged):
            yield RowMismatch(table.name, key, column, shown, logged, _position(table, right))


def _position(table: Table, row: _Row) -> int | None:
    if table.begins is None:
        return None
    position: int = dict(zip(table.types, row, strict=True))[table.begins]
    return position
