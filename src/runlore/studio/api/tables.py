"""The shown table as a file: CSV that a spreadsheet opens without executing anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from runlore.domain.filtering.parser import parse_field
from runlore.projections.groups import GroupQuestion
from runlore.projections.reader import RunsReader
from runlore.projections.run_trees import ALL_OPEN
from runlore.studio.api.groups import Aggregate, GroupField
from runlore.studio.csv_text import csv_text
from runlore.studio.parameters import AskedRuns, AsOf, Columns, ServedLanes, Sort
from runlore.workspace import Workspace

router = APIRouter()

ROWS_MAX: Final = 100_000
"""Of more runs the first ones: the answer is made in memory."""


class CsvFile(Response):
    """A file of a table."""

    media_type = "text/csv"


@router.get("/runs.csv", response_class=CsvFile)
async def runs_as_csv(
    lanes: ServedLanes,
    which: AskedRuns,
    columns: Columns = [],  # noqa: B006
    sort: Sort = None,
    tree: bool = False,
    as_of: AsOf = None,
) -> CsvFile:
    """The matching runs with their ids, names and these columns, in the order of the table."""
    asked = list(dict.fromkeys(["id", "name", *columns]))

    def question(_: Workspace, reader: RunsReader) -> CsvFile:
        table = reader.runs_table(
            which,
            columns=asked,
            sort=sort,
            limit=ROWS_MAX,
            in_trees=ALL_OPEN if tree else None,
        )
        return _as_file("runs.csv", asked, table.first_columns(ROWS_MAX))

    return await lanes.slow_of_tables(as_of, question)


@router.get("/groups.csv", response_class=CsvFile)
async def groups_as_csv(
    lanes: ServedLanes,
    which: AskedRuns,
    group: GroupField,
    aggregate: Aggregate = "mean",
    columns: Columns = [],  # noqa: B006
    as_of: AsOf = None,
) -> CsvFile:
    """The groups of the matching runs, with their sizes, these columns, and spreads of numbers."""
    fields = [parse_field(column) for column in columns]
    asked = GroupQuestion(parse_field(group), fields, aggregate, 0, ROWS_MAX)

    def question(_: Workspace, reader: RunsReader) -> CsvFile:
        found = reader.groups(which, asked)
        heads, held = [group, "runs"], [found.values, found.runs]
        for name, column in zip(columns, found.columns, strict=True):
            heads.append(name if column.spreads is None else f"{aggregate} of {name}")
            held.append(column.values)
            if column.spreads is not None and aggregate == "mean":
                heads.append(f"std of {name}")
                held.append(column.spreads)
        return _as_file("groups.csv", heads, held)

    return await lanes.slow_of_tables(as_of, question)


def _as_file(name: str, heads: Sequence[str], columns: Sequence[Sequence[Any]]) -> CsvFile:
    told = {"Content-Disposition": f'attachment; filename="{name}"'}
    return CsvFile(csv_text(heads, zip(*columns, strict=True)), headers=told)
