"""The cells of a table of runs, as columns by their fields.

The runs are those of the table `page` of the connection, and stand there with their places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Final, NamedTuple

import duckdb
from arro3.core import Array, Table

from runlore.domain.filtering.fields import ATTRIBUTES, Field, Kind, Namespace
from runlore.projections.arrow_tables import TYPES, answer, table_of_columns, whole
from runlore.projections.conditions import Conditions
from runlore.projections.field_sql import AGGREGATES, PAIRS, attribute
from runlore.projections.trees import runs_then
from runlore.projections.wide_columns import columns_of_cells, no_texts

_TYPES: Final = """
SELECT k.key,
       CASE WHEN bool_and(k.json IN ('true', 'false')) THEN 'BOOLEAN'
            WHEN bool_and(regexp_full_match(k.json, '-?[0-9]{{1,18}}')) THEN 'BIGINT'
            WHEN bool_and(NOT starts_with(k.json, '"') AND k.number IS NOT NULL) THEN 'DOUBLE'
            END
FROM store.run_config k SEMI JOIN page USING (run_no)
WHERE k.json <> 'null' AND {current} GROUP BY k.key
"""
_ARROW_TYPES: Final = {
    "BOOLEAN": TYPES["bool"],
    "BIGINT": TYPES["int64"],
    "DOUBLE": TYPES["double"],
}
_KEYS: Final = "SELECT DISTINCT k.key FROM {table} k SEMI JOIN page USING (run_no) WHERE {current}"
_SERIES: Final = """
SELECT s.name, s.series_no, m.in_numbers
FROM (
    SELECT k.series_no, bool_or(k.numbers > 0) AS in_numbers
    FROM {latest} k SEMI JOIN page USING (run_no) GROUP BY k.series_no
) m
JOIN store.series s ON s.series_no = m.series_no AND s.kind = 'scalar'
"""
_ATTRIBUTES: Final = """
SELECT {cells}
FROM page g
JOIN {runs} r ON r.run_no = g.run_no
JOIN store.run_states s ON s.run_no = r.run_no AND {current}
ORDER BY g.place
"""
_PAIRS: Final = """
SELECT g.place, c.number, {value} AS value
FROM {table} k JOIN wanted_keys c ON c.key = k.key JOIN page g ON g.run_no = k.run_no
WHERE {current}
"""
_METRICS: Final = """
SELECT g.place, k.series_no AS number, {value} AS value
FROM {latest} k JOIN page g ON g.run_no = k.run_no
WHERE k.series_no IN ({numbers})
"""
OF_TEXTS: Final = {"last": "k.last_text", "n": "k.n"}
"""The aggregates of a series in which there are no numbers."""


class Series(NamedTuple):
    """A scalar metric of the runs, and whether there are numbers in it."""

    series_no: int
    in_numbers: bool


class RunCells:
    """The cells of the runs of `page`, so many as its length; `latest` is their `metric_latest`."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        conditions: Conditions,
        latest: str,
        length: int,
    ) -> None:
        self._connection = connection
        self._conditions = conditions
        self._latest = latest
        self._length = length

    def keys(self, namespace: Namespace) -> list[str]:
        """The keys that the runs have: of config, tags, or properties."""
        current = self._conditions.current("k")
        query = _KEYS.format(table=PAIRS[namespace].table, current=current)
        return [key for (key,) in self._connection.sql(query).fetchall()]

    @cached_property
    def series(self) -> Mapping[str, Series]:
        """The metrics that the runs have, by name."""
        rows = self._connection.sql(_SERIES.format(latest=self._latest)).fetchall()
        return {name: Series(number, in_numbers) for name, number, in_numbers in rows}

    def columns(self, chosen: Sequence[Field], now: datetime) -> list[Array]:
        """The columns of the fields; one that no run has is of texts."""
        found = dict.fromkeys(chosen, no_texts(self._length))
        of = {one: [field for field in found if field.namespace is one] for one in Namespace}
        found |= self._attributes(of[Namespace.ATTRIBUTE], now)
        for namespace in PAIRS:
            found |= self._pairs(namespace, of[namespace])
        found |= self._metrics(of[Namespace.METRICS])
        return [found[field] for field in chosen]

    def _attributes(self, fields: Sequence[Field], now: datetime) -> dict[Field, Array]:
        if not fields:
            return {}
        cells = []
        for place, field in enumerate(fields):
            value = attribute(field, self._conditions, now)
            is_time = ATTRIBUTES[field.name] is Kind.TIME
            cells.append(f"{f'make_timestamptz({value})' if is_time else value} AS c{place:d}")
        query = _ATTRIBUTES.format(
            cells=", ".join(cells),
            runs=runs_then(self._connection, self._conditions.as_of),
            current=self._conditions.current("s"),
        )
        table = answer(self._connection.sql(query))
        return dict(zip(fields, map(whole, table.columns), strict=True))

    def _pairs(self, namespace: Namespace, fields: Sequence[Field]) -> dict[Field, Array]:
        if not fields:
            return {}
        pairs, current = PAIRS[namespace], self._conditions.current("k")
        value = pairs.text
        types: dict[str, str] = {}
        if namespace is Namespace.CONFIG:
            value = f"CASE WHEN k.json <> 'null' THEN {value} END"
            types = dict(self._connection.sql(_TYPES.format(current=current)).fetchall())
        query = _PAIRS.format(table=pairs.table, value=value, current=current)
        # By number, since names that differ in case alone are one column to DuckDB.
        numbers = range(len(fields))
        names = [field.name for field in fields]
        wanted = table_of_columns([names, numbers], {"key": "string", "number": "int64"})
        with registered(self._connection, "wanted_keys", wanted):
            cells = answer(self._connection.sql(query))
        columns = columns_of_cells(cells, "value", numbers, self._length)
        kinds = [_ARROW_TYPES.get(types.get(name, "")) for name in names]
        return {
            field: column if kind is None else column.cast(kind)
            for field, column, kind in zip(fields, columns, kinds, strict=True)
        }

    def _metrics(self, fields: Sequence[Field]) -> dict[Field, Array]:
        known = {field: self.series[field.name] for field in fields if field.name in self.series}
        found: dict[Field, Array] = {}
        for in_numbers, values in ((True, AGGREGATES), (False, OF_TEXTS)):
            own = [
                field
                for field, series in known.items()
                if series.in_numbers is in_numbers and field.aggregate in values
            ]
            for aggregate in sorted({field.aggregate for field in own}):
                some = {f: known[f].series_no for f in own if f.aggregate == aggregate}
                query = _METRICS.format(
                    latest=self._latest,
                    value=values[aggregate],
                    numbers=", ".join(map(str, some.values())),
                )
                cells = answer(self._connection.sql(query))
                columns = columns_of_cells(cells, "value", list(some.values()), self._length)
                found |= zip(some, columns, strict=True)
        return found


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, name: str, table: Table) -> Iterator[None]:
    """Inside the block queries of the connection find the table by this name."""
    connection.register(name, table)
    try:
        yield
    finally:
        connection.unregister(name)
