"""One wide table of runs: their attributes, config, tags, properties and metrics as columns."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final, NamedTuple

import duckdb
import numpy as np
from arro3.core import Table

from runlore.domain.errors import FilterError, InvalidInput
from runlore.domain.filtering.fields import Field, Namespace
from runlore.domain.filtering.parser import parse_field
from runlore.domain.system_metrics import is_sampled
from runlore.projections.arrow_tables import answer, arrays, table_of_arrays
from runlore.projections.conditions import Conditions, Sql
from runlore.projections.field_sql import AGGREGATES, ordered_by
from runlore.projections.metric_summaries_as_of import latest_as_of
from runlore.projections.queries import run_count
from runlore.projections.run_cells import OF_TEXTS, RunCells, registered
from runlore.projections.run_trees import Branches, tree_count, tree_page
from runlore.projections.trees import runs_then

MAX_COLUMNS: Final = 10_000

SHOWN: Final = (
    *("id", "name", "experiment", "number", "status", "created", "started", "ended", "duration"),
    *("user", "host", "script", "git_commit", "parent"),
)
"""The attributes of a table that was asked for without columns."""

_PAGE: Final = """
SELECT r.run_no, {total} AS total
FROM {runs} r
JOIN store.run_states s ON s.run_no = r.run_no AND {current}
{where}
ORDER BY {order} s.begun_at DESC, r.run_no DESC
{limit}
"""


class TableOptions(NamedTuple):
    """Which columns a table has, and in which order its runs come; see `RunsReader.runs_table`."""

    columns: Sequence[Field] | None
    aggregates: Sequence[str]
    sort: Field | None
    descending: bool
    limit: int | None
    offset: int = 0
    in_trees: Branches | None = None
    counted: bool = False

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
    return runs_page(connection, conditions, options)[0]


def runs_page(
    connection: duckdb.DuckDBPyConnection,
    conditions: Conditions,
    options: TableOptions,
) -> tuple[Table, int]:
    """The same, and if `counted` asks for it how many rows there are without limit and offset."""
    now = datetime.now(UTC)
    with ExitStack() as stack:
        page, total = _page(connection, conditions, options, now)
        stack.enter_context(registered(connection, "page", page))
        latest = stack.enter_context(latest_as_of(connection, conditions.as_of))
        cells = RunCells(connection, conditions, latest, len(page))
        chosen = _all(cells, options) if options.columns is None else list(options.columns)
        if len(chosen) > MAX_COLUMNS:
            raise InvalidInput(
                f"the table would have {len(chosen):,} columns, at most {MAX_COLUMNS:,}; say with "
                "`columns` which ones you want"
            )
        found = cells.columns(chosen, now)
    return Table.from_arrays(found, names=[_column_name(field) for field in chosen]), total


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
) -> tuple[Table, int]:
    """The numbers of the runs in the order of the table, and their places in it; and the total."""
    counting = "count(*) OVER ()" if options.counted else "0"
    with ExitStack() as stack:
        order = Sql("")
        if options.sort is not None:
            how = ordered_by(connection, conditions, options.sort, options.descending, now)
            order = stack.enter_context(how)
        limit = f"LIMIT {options.limit or 'ALL'} OFFSET {options.offset:d}"
        if options.in_trees is not None:
            text, params = tree_page(
                connection, conditions, options.in_trees, order, f"{counting} AS total", limit
            )
        else:
            params = (*conditions.params, *order.params)
            text = _PAGE.format(
                total=counting,
                order=f"{order.text}, " if order.text else "",
                runs=runs_then(connection, conditions.as_of),
                current=conditions.current("s"),
                where=conditions.where(),
                limit=limit,
            )
        found = answer(connection.sql(text, params=list(params) or None))
        numbers, totals = arrays(found, "run_no", "total")
    page = table_of_arrays({"run_no": numbers, "place": np.arange(len(numbers))})
    if len(totals) or not (options.counted and options.offset):
        return page, int(totals[0]) if len(totals) else 0
    if options.in_trees is not None:  # The page is behind the last row.
        return page, tree_count(connection, conditions, options.in_trees)
    return page, run_count(connection, conditions)


def _all(cells: RunCells, options: TableOptions) -> list[Field]:
    """All columns: attributes and what the runs have, by name, but for system metrics."""
    found = [Field(Namespace.ATTRIBUTE, name) for name in SHOWN]
    for namespace in (Namespace.CONFIG, Namespace.TAGS, Namespace.PROPERTIES):
        found += sorted((Field(namespace, key) for key in cells.keys(namespace)), key=str)
    metrics = [
        Field(Namespace.METRICS, name, aggregate)
        for aggregate in options.aggregates
        for name, series in cells.series.items()
        if not is_sampled(name) and (series.in_numbers or aggregate in OF_TEXTS)
    ]
    return found + sorted(metrics, key=str)
