"""One change of many runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from runlore.domain.errors import InvalidInput, RunloreError
from runlore.projections.filters import RunFilter
from runlore.projections.reader import RunsReader
from runlore.run import Run
from runlore.studio.encoding import Answer
from runlore.studio.parameters import POSITION_END, ROWS_MAX, ServedLanes, ThisViewer
from runlore.studio.search import page_filter
from runlore.workspace import Workspace

router = APIRouter()


class Operation(StrEnum):
    """What is done to each run."""

    TAG = "tag"
    UNTAG = "untag"
    ARCHIVE = "archive"
    REACTIVATE = "reactivate"
    CANCEL = "cancel"


class Matching(BaseModel):
    """Runs that match as of a position, from `offset` on: no change of one moves the others."""

    model_config = ConfigDict(extra="forbid")

    position: Annotated[int, Field(ge=0, lt=POSITION_END)]
    f: Annotated[str | None, Field(max_length=100_000)] = None
    q: Annotated[str | None, Field(max_length=200)] = None
    experiment: Annotated[str | None, Field(max_length=500)] = None
    children: bool = False
    offset: Annotated[int, Field(ge=0, lt=2**31)] = 0
    limit: Annotated[int, Field(ge=1, le=ROWS_MAX)] = ROWS_MAX

    def found(self, _: Workspace, reader: RunsReader) -> tuple[int, list[str]]:
        """The number of all, and the ids of these. Raises FilterError."""
        which = RunFilter(
            where=page_filter(self.f, self.experiment),
            search=self.q,
            include_children=self.children,
        )
        rows = reader.runs_table(which, columns=["id"], offset=self.offset, limit=self.limit)
        return reader.count_runs(which), [str(run_id) for (run_id,) in rows]


RunIds = Annotated[
    list[Annotated[str, Body(max_length=300)]] | None,
    Body(alias="ids", min_length=1, max_length=ROWS_MAX),
]


@router.post("/bulk")
async def bulk(
    lanes: ServedLanes,
    viewer: ThisViewer,
    operation: Annotated[Operation, Body(alias="op")],
    run_ids: RunIds = None,
    matching: Annotated[Matching | None, Body()] = None,
    key: Annotated[str, Body(max_length=1_000)] = "",
    value: Annotated[str | None, Body(max_length=100_000)] = None,
    reason: Annotated[str | None, Body(max_length=10_000)] = None,
) -> Answer:
    """Tag, untag, archive, reactivate or cancel runs, one after the other.

    Either those of `ids`, or those that are `matching`, of which `total` is the number: with more
    than 1,000 it is asked again with a greater `offset`. `key` and `value` are those of the tag,
    `reason` that of a cancellation. A run that refuses the change keeps none of the others from
    it: `refused` says which ones did, and why.
    """
    if (run_ids is None) is (matching is None):
        raise InvalidInput("a change of many runs takes either `ids` or `matching`")
    asked = list(dict.fromkeys(run_ids or ()))
    total = len(asked)
    if matching is not None:
        total, asked = await lanes.slow_of_tables(matching.position, matching.found)
    made: dict[Operation, Callable[[Run], object]] = {
        Operation.TAG: lambda run: run.set_tags({key: value}),
        Operation.UNTAG: lambda run: run.remove_tags([key]),
        Operation.ARCHIVE: Run.archive,
        Operation.REACTIVATE: Run.reactivate,
        Operation.CANCEL: lambda run: run.cancel(reason=reason),
    }

    def change() -> Answer:
        found = _changed(lanes.acting_as(viewer), asked, made[operation])
        return Answer({"total": total, **found})

    return await lanes.slow(change)


def _changed(
    workspace: Workspace, run_ids: Iterable[str], made: Callable[[Run], object]
) -> dict[str, Any]:
    done: list[str] = []
    refused: list[dict[str, Any]] = []
    for run_id in run_ids:
        run = None
        try:
            run = workspace.get_run(run_id)
            made(run)
            done.append(run_id)
        except RunloreError as error:
            name = (run.display_name if run else None) or run_id
            told = {"title": type(error).__name__, "detail": str(error)}
            refused.append({"id": run_id, "name": name, **told})
    return {"done": done, "refused": refused}
