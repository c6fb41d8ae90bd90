"""Errors as `application/problem+json` (RFC 9457), with what to do in `detail`."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from runlore.domain.errors import (
    ChangeRefusedError,
    FilterError,
    NotFound,
    PastIsReadOnly,
    RunGone,
    RunloreError,
    UserError,
    WorkspaceClosed,
)
from runlore.engine.runs.files import FilePruned
from runlore.projections.own_projection import ProjectionFailed
from runlore.storage.artifact_backend import ArtifactMissing
from runlore.storage.artifact_places import ArtifactFolderMissing, PlaceNotTrusted
from runlore.storage.errors import LogCorrupt, LogUnavailable, NotALog
from runlore.storage.held_folder import FolderMoved
from runlore.storage.object_errors import StoreUnavailable
from runlore.studio.encoding import json_text
from runlore.studio.viewers import NotTheOwner

MEDIA_TYPE: Final = "application/problem+json"

_STATUS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (NotFound, 404),
    (ArtifactMissing, 404),
    (RunGone, 410),
    (ChangeRefusedError, 409),
    (PastIsReadOnly, 409),
    (NotTheOwner, 403),
    (LogUnavailable, 503),
    (LogCorrupt, 503),
    (NotALog, 503),
    (FolderMoved, 503),
    (ArtifactFolderMissing, 503),
    (StoreUnavailable, 503),
    (PlaceNotTrusted, 503),
    (FilePruned, 410),
    (ProjectionFailed, 503),
    (WorkspaceClosed, 503),
    (UserError, 422),
)
"""The status of each error. None is 408: Chromium asks again, unasked, when it is answered so."""

_SCHEMA: Final = {
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "field": {"type": "string"},
        "offset": {"type": "integer"},
    },
}
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    kind: {"description": "What is wrong.", "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
    for kind in ("4XX", "5XX")
}
"""Problems in the description of an endpoint."""


def problem(status: int, title: str, detail: str, **more: Any) -> Response:
    """The answer that says what is wrong."""
    content = {"title": title, "status": status, "detail": detail, **more}
    return Response(json_text(content), status_code=status, media_type=MEDIA_TYPE)


async def answer_to_error(request: Request, error: Exception) -> Response:
    """The answer to an error of runlore's. Others are mistakes of ours, and answered with 500."""
    assert isinstance(error, RunloreError)
    status = next((number for kind, number in _STATUS if isinstance(error, kind)), 500)
    more = {"offset": error.offset} if isinstance(error, FilterError) else {}
    return problem(status, type(error).__name__, str(error), **more)
