"""One wide table of runs: their attributes, config, tags, properties and metrics as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Final, NamedTuple

import duckdb
from arro3.core import Table

from runlore.domain.errors import FilterError, InvalidInput
from runlore.domain.filtering.fields import ATTRIBUTES, Field, Kind, Namespace
from runlore.domain.filtering.parser import parse_field
from runlore.domain.system_metrics import is_sampled
from runlore.projections.arrow_tables import answer, table_of_columns
from runlore.projections.conditions import Conditions, Sql
from runlore.projections.field_sql import AGGREGATES, PAIRS, attribute, ordered_by
from runlore.projections.metric_summaries_as_of import latest_as_of
from runlore.projections.run_trees import Branches, tree_page
from runlore.projections.trees import runs_then

MAX_COLUMNS: Final = 10_000

SHOWN: Final = (
    *("id", "name", "experiment", "number", "status", "created", "started", "ended", "duration"),
    *("user", "host", "script", "git_commit", "parent"),
)
"""The attributes of a table that was asked for without columns."""

_PAGE: Final = """
SELECT r.run_no, row_number() OVER (ORDER BY {order} s.begun_at DESC, r.run_no DESC) AS place
FROM {runs} r
JOIN store.run_states s ON s.run_no = r.run_no AND {current}
{where}
ORDER BY place
{limit}
"""
_KEYS: Final = "SELECT DISTINCT k.key FROM {table} k SEMI JOIN page USING (run_no) WHERE {current}"
_TYPES: Final = """
SELECT k.key,
       CASE WHEN bool_and(k.json IN ('true', 'false')) THEN 'BOOLEAN'
            WHEN bool_and(regexp_full_match(k.json, '-?[0-9]{{1,18}}')) THEN 'BIGINT'
            WHEN bool_and(NOT starts_with(k.json, '"') AND k.number IS NOT NULL) THEN 'DOUBLE'
            ELSE 'VARCHAR' END
FROM store.run_config k SEMI JOIN page USING (run_no)
WHERE k.json <> 'null' AND {current} GROUP BY k.key
"""
_SERIES: Final = """
SELECT s.name, s.series_no, m.in_numbers
FROM (
    SELECT k.series_no, bool_or(k.numbers > 0) AS in_numbers
    FROM {latest} k SEMI JOIN page USING (run_no) GROUP BY k.series_no
) m
JOIN store.series s ON s.series_no = m.series_no AND s.kind = 'scalar'
"""
_WIDE: Final = """
SELECT {cells}
FROM page g
JOIN {runs} r ON r.run_no = g.run_no
JOIN store.run_states s ON s.run_no = r.run_no AND {current}
{pivots}
ORDER BY g.place
"""
_PIVOT: Final = """
LEFT JOIN (
    PIVOT ({source}) ON number IN ({numbers}) USING any_value(value) GROUP BY run_no
) {alias} ON {alias}.run_no = g.run_no
"""


class _Cells(NamedTuple):
    """What one pivot makes: cells by their fields, from rows of (run_no, number, value)."""

    source: str
    numbers: Mapping[Field, int]
    types: Mapping[Field, str]

    def cell(self, field: Field, alias: str) -> str:
        value = f'{alias}."{self.numbers[field]:d}"'
        return f"{value}::{self.types[field]}" if field in self.types else value


class TableOptions(NamedTuple):
    """Which columns a table has, and in which order its runs come; see `RunsReader.runs_table`."""

    columns: Sequence[Field] | None
    aggregates: Sequence[str]
    sort: Field | None
    descending: bool
    limit: int | None
    offset: int = 0
    in_trees: Branches | None = None

    @classmethod
    def of(
        cls,
        columns: Sequence[str] | None,
        metrics: str | Sequence[str],
        sort: str | None,
        limit: int | None,
        offset: int = 0,
        in_trees: Branches | None = None,
    ) -> TableOptions:
        """Checked options. Raises InvalidInput."""
        if type(offset) is not int or offset < 0:
            raise InvalidInput(f"offset is {offset!r:.80}; it takes a whole number from 0 on")
        if limit is not None and (type(limit) is not int or limit < 1):
            raise InvalidInput(f"limit is {limit!r:.80}; it takes a whole number from 1 on")
        asked = dict.fromkeys((metrics,) if isinstance(metrics, str) else metrics)
        for aggregate in asked:
            if aggregate not in AGGREGATES:
                raise InvalidInput(
                    f"metrics asks for {aggregate!r:.80}; it takes some of {', '.join(AGGREGATES)}"
                )
        fields = None if columns is None else [parse_field(column) for column in columns]
        by = None if sort is None else parse_field(sort.removeprefix("-"))
        descending = sort is not None and sort.startswith("-")
        return cls(fields, tuple(asked), by, descending, limit, offset, in_trees)


def metric_column(text: str) -> str:
    """The name of a metric's column: `loss`, `val/acc.max`, or any name as it is."""
    try:
        return str(parse_field(f"metrics.{text}"))
    except FilterError:
        return str(Field(Namespace.METRICS, text, "last"))


def runs_table(
    connection: duckdb.DuckDBPyConnection,
    conditions: Conditions,
    options: TableOptions,
) -> Table:
    """The matching runs, newest first or by `sort`; see `RunsReader.runs_table`."""
    columns, now = options.columns, datetime.now(UTC)
    with ExitStack() as stack:
        page = _page(connection, conditions, options, now)
        stack.enter_context(registered(connection, "page", page))
        latest = stack.enter_context(latest_as_of(connection, conditions.as_of))
        pivots = [
            *(
                _pairs(connection, conditions, namespace, stack)
                for namespace in PAIRS
                if columns is None or any(field.namespace is namespace for field in columns)
            ),
            *_metrics(connection, latest, _asked(columns, options.aggregates)),
        ]
        chosen = _all(pivots) if columns is None else list(columns)
        if len(chosen) > MAX_COLUMNS:
            raise InvalidInput(
                f"the table would have {len(chosen):,} columns, at most {MAX_COLUMNS:,}; say with "
                "`columns` which ones you want"
            )
        found = answer(connection.sql(_wide(connection, conditions, pivots, chosen, now)))
    return Table.from_arrays(list(found.columns), names=[_column_name(field) for field in chosen])


def _column_name(field: Field) -> str:
    """The field's name, with NUL as text: Arrow's C data ends names there, so that arro3 aborts.

    The SDK refuses such names, but not every log was written by it.
    """
    return str(field).replace("\0", "\\x00")


def _page(
    connection: duckdb.DuckDBPyConnection,
    conditions: Conditions,
    options: TableOptions,
    now: datetime,
) -> Table:
    """The numbers of the runs in the order of the table."""
    with ExitStack() as stack:
        order = Sql("")
        if options.sort is not None:
            how = ordered_by(connection, conditions, options.sort, options.descending, now)
            order = stack.enter_context(how)
        limit = f"LIMIT {options.limit or 'ALL'} OFFSET {options.offset:d}"
        if options.in_trees is not None:
            tree = tree_page(connection, conditions, options.in_trees, order, limit)
            return answer(connection.sql(tree.text, params=list(tree.params) or None))
        query = _PAGE.format(
            order=f"{order.text}, " if order.text else "",
            runs=runs_then(connection, conditions.as_of),
            current=conditions.current("s"),
            where=conditions.where(),
            limit=limit,
        )
        return answer(connection.sql(query, params=[*order.params, *conditions.params] or None))


def _wide(
    connection: duckdb.DuckDBPyConnection,
    conditions: Conditions,
    pivots: Sequence[_Cells],
    chosen: Sequence[Field],
    now: datetime,
) -> str:
    joins, cells = [], dict.fromkeys(chosen, "NULL::VARCHAR")
    for place, pivot in enumerate(pivots):
        wanted = [field for field in cells if field in pivot.numbers]
        cells.update({field: pivot.cell(field, f"p{place}") for field in wanted})
        numbers = ", ".join(str(pivot.numbers[field]) for field in wanted)
        if wanted:
            joins.append(_PIVOT.format(source=pivot.source, numbers=numbers, alias=f"p{place}"))
    for field in chosen:
        if field.namespace is Namespace.ATTRIBUTE:
            expression = attribute(field, conditions, now)
            is_time = ATTRIBUTES[field.name] is Kind.TIME
            cells[field] = f"make_timestamptz({expression})" if is_time else expression
    return _WIDE.format(
        cells=", ".join(f"{cells[field]} AS c{place:d}" for place, field in enumerate(chosen)),
        runs=runs_then(connection, conditions.as_of),
        current=conditions.current("s"),
        pivots="".join(joins),
    )


def _all(pivots: Sequence[_Cells]) -> list[Field]:
    """All columns: the attributes, and what each pivot makes by name, but for system metrics."""
    fields = [Field(Namespace.ATTRIBUTE, name) for name in SHOWN]
    return fields + [
        field
        for namespace in (Namespace.CONFIG, Namespace.TAGS, Namespace.PROPERTIES, Namespace.METRICS)
        for field in sorted(
            {f for pivot in pivots for f in pivot.numbers if f.namespace is namespace}, key=str
        )
        if namespace is not Namespace.METRICS or not is_sampled(field.name)
    ]


def _pairs(
    connection: duckdb.DuckDBPyConnection,
    conditions: Conditions,
    namespace: Namespace,
    stack: ExitStack,
) -> _Cells:
    pairs, current = PAIRS[namespace], conditions.current("k")
    keys = connection.sql(_KEYS.format(table=pairs.table, current=current)).fetchall()
    types: dict[Field, str] = {}
    if namespace is Namespace.CONFIG:
        rows = connection.sql(_TYPES.format(current=current)).fetchall()
        types = {Field(namespace, key): type_ for key, type_ in rows}
    fields = [Field(namespace, key) for (key,) in keys]
    # By number, since names that differ in case alone are one column to DuckDB.
    named = table_of_columns(
        [[field.name for field in fields], list(range(len(fields)))],
        {"key": "string", "number": "int64"},
    )
    stack.enter_context(registered(connection, f"keys_of_{namespace}", named))
    null = "nullif(k.json, 'null')" if namespace is Namespace.CONFIG else "k.key"
    source = (
        f"SELECT k.run_no, c.number, CASE WHEN {null} IS NOT NULL THEN {pairs.text} END AS value "
        f"FROM {pairs.table} k JOIN keys_of_{namespace} c ON c.key = k.key "
        f"SEMI JOIN page USING (run_no) WHERE {current}"
    )
    return _Cells(source, {field: number for number, field in enumerate(fields)}, types)


def _asked(columns: Sequence[Field] | None, aggregates: Sequence[str]) -> list[str]:
    if columns is not None:
        return sorted({field.aggregate for field in columns if field.aggregate})
    return list(aggregates)


def _metrics(
    connection: duckdb.DuckDBPyConnection, latest: str, aggregates: Sequence[str]
) -> Iterator[_Cells]:
    rows = connection.sql(_SERIES.format(latest=latest)).fetchall() if aggregates else []
    for aggregate in aggregates:
        source = (
            f"SELECT k.run_no, k.series_no AS number, {{}} AS value FROM {latest} k "
            "SEMI JOIN page USING (run_no)"
        )
        for in_numbers in (True, False):
            value = AGGREGATES[aggregate]
            if not in_numbers:  # A series of texts has a last one, and nothing else.
                value = "k.last_text" if aggregate == "last" else "k.n"
                if aggregate not in ("last", "n"):
                    continue
            numbers = {
                Field(Namespace.METRICS, name, aggregate): number
                for name, number, is_number in rows
                if is_number is in_numbers
            }
            yield _Cells(source.format(value), numbers, {})


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, name: str, table: Table) -> Iterator[None]:
    """Inside the block queries of the connection find the table by this name."""
    connection.register(name, table)
    try:
        yield
    finally:
        connection.unregister(name)
