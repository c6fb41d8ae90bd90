"""Runs gathered by a field: seeds of one configuration, configurations of one model."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from runlore.domain.filtering.expressions import Comparison, Expression, Has, Not, Value
from runlore.domain.filtering.fields import Field
from runlore.domain.filtering.parser import parse_field
from runlore.projections.groups import GroupQuestion
from runlore.projections.reader import RunsReader
from runlore.studio.encoding import Answer
from runlore.studio.parameters import (
    AskedRuns,
    AsOf,
    Columns,
    Limit,
    Offset,
    ServedLanes,
)
from runlore.workspace import Workspace

router = APIRouter()

GroupField = Annotated[str, Query(alias="group", max_length=1_000)]
Aggregate = Annotated[str, Query(alias="agg", max_length=20)]


@router.get("/groups")
async def groups(
    lanes: ServedLanes,
    which: AskedRuns,
    group: GroupField,
    aggregate: Aggregate = "mean",
    columns: Columns = [],  # noqa: B006
    offset: Offset = 0,
    limit: Limit = 100,
    as_of: AsOf = None,
) -> Answer:
    """The groups of the matching runs, the largest first, a list for each column.

    `agg` is mean, median, min, max, sum or std, of finite numbers. A column of other values has
    the one that all runs of a group share, else null. `spreads` are the standard deviations of
    columns of numbers, `distinct` the numbers of different values. `ids` are filters that select
    the runs of each group.
    """
    by = parse_field(group)
    fields = [parse_field(column) for column in columns]
    asked = GroupQuestion(by, fields, aggregate, offset, limit)

    def question(shown: Workspace, reader: RunsReader) -> dict[str, Any]:
        position = shown.position
        found = reader.groups(which, asked)
        return {
            "position": position,
            "total": found.total,
            "offset": offset,
            "ids": [str(in_group(by, value)) for value in found.values],
            "values": found.values,
            "runs": found.runs,
            "columns": list(columns),
            "data": [column.values for column in found.columns],
            "spreads": [column.spreads for column in found.columns],
            "distinct": [column.distinct for column in found.columns],
        }

    return await lanes.answer_of_tables(as_of, question)


def in_group(by: Field, value: object) -> Expression:
    """The filter that selects the runs of a group by its value.

    >>> print(in_group(parse_field("tags.model"), "18"), in_group(parse_field("config.lr"), None))
    tags.model = "18" not has(config.lr)
    """
    match value:
        case None:
            return Not(Has(by))
        case bool():
            return Comparison(by, "=", Value.bare(str(value)))
        case int() | float():
            return Comparison(by, "=", Value.bare(repr(value)))
        case datetime():
            return Comparison(by, "=", Value.quoted_text(value.isoformat()))
    return Comparison(by, "=", Value.quoted_text(str(value)))
