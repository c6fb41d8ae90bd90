"""What a run logged beside numbers: tables, images and documents."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from runlore.engine.inspection.logged import (
    documents_of,
    images_of,
    kinds_of,
    table_of,
)
from runlore.engine.runs.metric_values import ARTIFACT_KINDS
from runlore.run.run import handle_of
from runlore.studio.encoding import Answer
from runlore.studio.parameters import AsOf, Limit, Offset, RunId, ServedLanes
from runlore.workspace import Workspace

router = APIRouter(prefix="/runs/{run_id}")

_DOCUMENTS: Final = ARTIFACT_KINDS - {"image"}

MetricName = Annotated[str, Query(alias="metric", max_length=1_000)]


@router.get("/logged")
async def logged(lanes: ServedLanes, run_id: RunId, as_of: AsOf = None) -> Answer:
    """The images of the run with their steps, and the names of its tables and documents."""

    def question(shown: Workspace) -> dict[str, Any]:
        handle = handle_of(shown.get_run(run_id))
        kinds = kinds_of(handle)
        return {
            "images": [
                {"metric": name, "files": [one._asdict() for one in files]}
                for name, files in images_of(handle).items()
            ],
            "tables": [name for name, kind in kinds.items() if kind == "row"],
            "documents": [name for name, kind in kinds.items() if kind in _DOCUMENTS],
        }

    return await lanes.answer(as_of, question)


@router.get("/table")
async def table(
    lanes: ServedLanes,
    run_id: RunId,
    metric: MetricName,
    offset: Offset = 0,
    limit: Limit = 100,
    as_of: AsOf = None,
) -> Answer:
    """Rows of a metric that is a table, a list for each column."""

    def question(shown: Workspace) -> dict[str, Any]:
        return table_of(handle_of(shown.get_run(run_id)), metric, offset, limit)._asdict()

    return await lanes.answer(as_of, question)


@router.get("/documents")
async def documents(
    lanes: ServedLanes, run_id: RunId, metric: MetricName, as_of: AsOf = None
) -> Answer:
    """The documents of a metric, such as a confusion matrix, in the order of logging."""

    def question(shown: Workspace) -> dict[str, Any]:
        kind, found = documents_of(handle_of(shown.get_run(run_id)), metric)
        return {"kind": kind, "documents": found}

    return await lanes.answer(as_of, question)
