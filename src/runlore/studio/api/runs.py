"""Lists of runs: tables, filters and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query

from runlore.domain.errors import ExperimentNotFound
from runlore.domain.fact import utc_time
from runlore.domain.filtering.parser import parse_filter
from runlore.domain.system_metrics import is_sampled
from runlore.projections.filters import RunFilter
from runlore.projections.reader import RunsReader
from runlore.projections.run_trees import Branches
from runlore.studio.colours import colour_of
from runlore.studio.encoding import Answer
from runlore.studio.parameters import (
    AskedRuns,
    AsOf,
    BranchIds,
    Columns,
    ExperimentName,
    FilterText,
    Limit,
    Offset,
    ServedLanes,
    Sort,
)
from runlore.workspace import Workspace

router = APIRouter()

COLUMNS = ("name", "status", "duration", "created", "user")
"""The columns of a table that was asked for without some."""

COLUMNS_AT_FIRST = ("status", "duration", "created", "user")
_FIRST_OF_EACH = 4
_ALWAYS = ("id", "number", "experiment", "name", "status", "depth")


@router.get("/runs")
async def runs(
    lanes: ServedLanes,
    which: AskedRuns,
    columns: Columns = list(COLUMNS),  # noqa: B006
    sort: Sort = None,
    tree: bool = False,
    closed: bool = False,
    branches: BranchIds = [],  # noqa: B006
    offset: Offset = 0,
    limit: Limit = 100,
    as_of: AsOf = None,
) -> Answer:
    """A page of the matching runs, a list for each column.

    `ids`, `numbers`, `names`, `statuses`, `colours` and `stars` come with every page. `position` is
    that of the log: the answer has at least what was recorded until then. With `tree` the runs
    above the matching ones are there as well, each run below its parent: `depths` says how deep it
    is, `matches` whether it is one of those that were asked for, and `below` how many runs the
    table has below it. All branches are open, or with `closed` none, except those of `branch`.
    """
    asked = list(dict.fromkeys([*_ALWAYS, *columns]))
    in_trees = Branches(closed, tuple(branches)) if tree else None

    def question(shown: Workspace, reader: RunsReader) -> dict[str, Any]:
        position = shown.position
        table, total = reader.runs_page(
            which, columns=asked, sort=sort, offset=offset, limit=limit, in_trees=in_trees
        )
        held = dict(zip(asked, table.first_columns(limit), strict=True))
        marks = reader.marks_of(held["id"])
        return {
            "position": position,
            "total": total,
            "offset": offset,
            "ids": held["id"],
            "numbers": held["number"],
            "experiments": held["experiment"],
            "names": held["name"],
            "statuses": held["status"],
            "colours": [
                colour_of(number, marks[run_id].experiment_id, marks[run_id].colour)
                for run_id, number in zip(held["id"], held["number"], strict=True)
            ],
            "stars": [marks[run_id].starred for run_id in held["id"]],
            **(_places(reader, which, held) if tree else {}),
            "columns": list(columns),
            "data": [held[column] for column in columns],
        }

    return await lanes.answer_of_tables(as_of, question)


def _places(reader: RunsReader, which: RunFilter, held: dict[str, list[Any]]) -> dict[str, Any]:
    """How deep the runs of a page are in their trees, and which of them were asked for."""
    matching = reader.runs_table(replace(which, run_ids=held["id"]), columns=["id"])
    asked_for = {run_id for (run_id,) in matching}
    below = reader.runs_below(which, held["id"])
    return {
        "depths": held["depth"],
        "matches": [run_id in asked_for for run_id in held["id"]],
        "below": [below.get(run_id, 0) for run_id in held["id"]],
    }


@router.get("/first")
async def first_run(
    lanes: ServedLanes,
    run_id: Annotated[str | None, Query(alias="run", max_length=1_000)] = None,
    experiment: ExperimentName = None,
) -> Answer:
    """The moment from which on there is the run, or any run of the experiment or of all.

    `run` is the one that was created then, `position` that of its first event; null for no run.
    """

    def question(_: Workspace, reader: RunsReader) -> dict[str, Any]:
        which = RunFilter(
            run_ids=None if run_id is None else [run_id],
            experiment_id=_experiment_id(reader, experiment),
            include_children=True,
            include_archived=True,
        )
        found = reader.first_run(which)
        if found is None:
            return {"run": None, "position": None, "time": None}
        return {"run": found.run_id, "position": found.position, "time": utc_time(found.created_at)}

    return await lanes.answer_of_tables(None, question)


@router.get("/filter")
async def canonical_filter(where: FilterText) -> Answer:
    """The filter in its canonical form; else what is wrong with it, and where."""
    return Answer({"filter": str(parse_filter(where))})


@router.get("/columns")
async def columns_of_runs(
    lanes: ServedLanes,
    part: Annotated[str, Query(max_length=1_000)] = "",
    experiment: ExperimentName = None,
    limit: Limit = 200,
    as_of: AsOf = None,
) -> Answer:
    """The fields that could be columns, with the number of runs that have them.

    `first` are the columns of a table for which none were chosen.
    """

    def question(_: Workspace, reader: RunsReader) -> dict[str, Any]:
        within = _experiment_id(reader, experiment)
        found = reader.fields(part, experiment_id=within, limit=limit)
        fields = [one.field for one in found]
        return {
            "fields": fields,
            "runs": [one.runs for one in found],
            "first": first_columns(fields),
        }

    return await lanes.answer_of_tables(as_of, question)


@router.get("/values")
async def values_of_field(
    lanes: ServedLanes,
    field: Annotated[str, Query(max_length=1_000)],
    part: Annotated[str, Query(max_length=1_000)] = "",
    experiment: ExperimentName = None,
    limit: Limit = 200,
    as_of: AsOf = None,
) -> Answer:
    """The values of a field as texts, with the number of runs that have them, most first."""

    def question(_: Workspace, reader: RunsReader) -> dict[str, Any]:
        within = _experiment_id(reader, experiment)
        found = reader.field_values(field, part, experiment_id=within, limit=limit)
        return {"values": [one.value for one in found], "runs": [one.runs for one in found]}

    return await lanes.answer_of_tables(as_of, question)


def first_columns(fields: Sequence[str]) -> list[str]:
    """Some attributes, then the first logged metrics and config keys: results are in view."""
    config = [field for field in fields if field.startswith("config.")]
    metrics = [
        field
        for field in fields
        if field.startswith("metrics.") and not is_sampled(field[len("metrics.") :].lstrip("`"))
    ]
    return [*COLUMNS_AT_FIRST, *metrics[:_FIRST_OF_EACH], *config[:_FIRST_OF_EACH]]


def _experiment_id(reader: RunsReader, name: str | None) -> str | None:
    """The id of the experiment of a name: the active one, else the latest.

    As of a position at which there was none, the id that no experiment has.
    """
    if name is None:
        return None
    found = reader.experiments(name=name, view="all")
    if not found:
        if reader.position is not None:
            return ""
        raise ExperimentNotFound(name, "this workspace")
    active = (row for row in found if row.archived_at is None)
    return next(active, found[-1]).experiment_id
