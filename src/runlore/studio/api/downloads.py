"""A run to take away: all its files in one zip, and its part of the log with the proof."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from runlore.engine.inspection.zip_stream import zipped
from runlore.run.run import handle_of
from runlore.studio.lanes import Lanes
from runlore.studio.parameters import AsOf, RunId, ServedLanes
from runlore.workspace import Workspace

router = APIRouter(prefix="/runs/{run_id}")

_CHUNK_NBYTES = 1 << 20
_SANDBOX = "sandbox; default-src 'none'"


@router.get("/files.zip")
async def files_zip(lanes: ServedLanes, run_id: RunId, as_of: AsOf = None) -> StreamingResponse:
    """All files of the run whose content is stored, made while it is sent."""
    pieces = await lanes.quick(lambda: zipped(handle_of(lanes.at(as_of).get_run(run_id))))
    return _download(_sent(lanes, pieces), "files.zip", "application/zip")


@router.get("/bundle")
async def bundle(
    lanes: ServedLanes,
    run_id: RunId,
    artifacts: Annotated[Literal["bytes", "digests"], Query()] = "digests",
) -> StreamingResponse:
    """The events of the run and of those below it in a file that proves itself: docs/bundles.md.

    It has the digests of the files, or with `artifacts=bytes` also their content.
    """
    opened = await lanes.slow(lambda: _exported(lanes.at(None), run_id, artifacts))

    def pieces() -> Iterator[bytes]:
        with opened:
            while piece := opened.read(_CHUNK_NBYTES):
                yield piece

    return _download(_sent(lanes, pieces()), "run.bundle", "application/octet-stream")


def _exported(shown: Workspace, run_id: str, artifacts: str) -> BinaryIO:
    """The bundle as an open file that is in no folder any more."""
    run = shown.get_run(run_id)
    with tempfile.TemporaryDirectory(prefix="runlore-bundle-") as folder:
        path = Path(folder) / "run.bundle"
        shown.export(path, run=run.id, artifacts=artifacts)
        return path.open("rb")


async def _sent(lanes: Lanes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await lanes.quick(lambda: next(pieces, b"")):
        yield piece


def _download(pieces: AsyncIterator[bytes], name: str, media_type: str) -> StreamingResponse:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": _SANDBOX,
    }
    return StreamingResponse(pieces, headers=headers, media_type=media_type)
