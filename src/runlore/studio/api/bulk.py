"""One change of many runs."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Body

from runlore.domain.errors import RunloreError
from runlore.run import Run
from runlore.studio.encoding import Answer
from runlore.studio.parameters import ROWS_MAX, ServedLanes, ThisViewer

router = APIRouter()


class Operation(StrEnum):
    """What is done to each run."""

    TAG = "tag"
    UNTAG = "untag"
    ARCHIVE = "archive"
    REACTIVATE = "reactivate"
    CANCEL = "cancel"


@router.post("/bulk")
async def bulk(
    lanes: ServedLanes,
    viewer: ThisViewer,
    run_ids: Annotated[
        list[Annotated[str, Body(max_length=300)]],
        Body(alias="ids", min_length=1, max_length=ROWS_MAX),
    ],
    operation: Annotated[Operation, Body(alias="op")],
    key: Annotated[str, Body(max_length=1_000)] = "",
    value: Annotated[str | None, Body(max_length=100_000)] = None,
    reason: Annotated[str | None, Body(max_length=10_000)] = None,
) -> Answer:
    """Tag, untag, archive, reactivate or cancel runs, one after the other.

    `key` and `value` are those of the tag, `reason` that of a cancellation. A run that refuses the
    change keeps none of the others from it: `refused` says which ones did, and why.
    """
    made: dict[Operation, Callable[[Run], object]] = {
        Operation.TAG: lambda run: run.set_tags({key: value}),
        Operation.UNTAG: lambda run: run.remove_tags([key]),
        Operation.ARCHIVE: Run.archive,
        Operation.REACTIVATE: Run.reactivate,
        Operation.CANCEL: lambda run: run.cancel(reason=reason),
    }

    def change() -> Answer:
        workspace = lanes.acting_as(viewer)
        done: list[str] = []
        refused: list[dict[str, Any]] = []
        for run_id in dict.fromkeys(run_ids):
            try:
                made[operation](workspace.get_run(run_id))
                done.append(run_id)
            except RunloreError as error:
                told = {"id": run_id, "title": type(error).__name__, "detail": str(error)}
                refused.append(told)
        return Answer({"done": done, "refused": refused})

    return await lanes.slow(change)
