"""The snapshot of a run, and how it differs from another's."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from runlore.engine.inspection.snapshot_diff import (
    FileChange,
    snapshot_diff,
    snapshot_files,
    snapshot_text,
)
from runlore.run.run import handle_of
from runlore.studio.encoding import Answer
from runlore.studio.parameters import AsOf, RunId, ServedLanes
from runlore.workspace import Workspace

router = APIRouter(prefix="/runs/{run_id}/snapshot")

_PREVIEW_MAX_NBYTES: Final = 1_000_000


@router.get("")
async def snapshot(lanes: ServedLanes, run_id: RunId, as_of: AsOf = None) -> Answer:
    """The files of the run's snapshot, by name; `id` is null if it has none."""

    def question(shown: Workspace) -> dict[str, Any]:
        handle = handle_of(shown.get_run(run_id))
        return {
            "id": handle.fetch().snapshot_id,
            "files": [line.model_dump() for line in snapshot_files(handle)],
        }

    return await lanes.answer(as_of, question)


@router.get("/diff")
async def diff(
    lanes: ServedLanes,
    run_id: RunId,
    other: Annotated[str, Query(max_length=300)],
    as_of: AsOf = None,
) -> Answer:
    """What differs from the snapshot of another run, as lines of a unified diff for texts."""

    def question(shown: Workspace) -> dict[str, Any]:
        old, new = (handle_of(shown.get_run(one)) for one in (other, run_id))
        return {"changes": [_plain(change) for change in snapshot_diff(old, new)]}

    return await lanes.slow(lambda: Answer(question(lanes.at(as_of))))


@router.get("/text/{name:path}")
async def text(lanes: ServedLanes, run_id: RunId, name: str, as_of: AsOf = None) -> Answer:
    """The beginning of a file of the snapshot as text, whatever it holds."""

    def question(shown: Workspace) -> dict[str, Any]:
        held = snapshot_text(handle_of(shown.get_run(run_id)), name, _PREVIEW_MAX_NBYTES + 1)
        return {
            "text": held[:_PREVIEW_MAX_NBYTES].decode("utf-8", "replace"),
            "is_whole": len(held) <= _PREVIEW_MAX_NBYTES,
        }

    return await lanes.answer(as_of, question)


def _plain(change: FileChange) -> dict[str, Any]:
    sizes = {
        key: None if file is None else file.nbytes
        for key, file in (("old_nbytes", change.old), ("new_nbytes", change.new))
    }
    return {"name": change.name, "kind": change.kind, **sizes, "lines": change.lines}
