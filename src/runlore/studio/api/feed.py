"""The stream of what changes, for pages that are open."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import StreamingResponse

from runlore.studio.feed import Feed
from runlore.studio.parameters import POSITION_END

router = APIRouter()


@router.get("/feed", include_in_schema=False)
async def feed(
    request: Request,
    after: Annotated[int | None, Query(ge=0, lt=POSITION_END)] = None,
    last_event_id: Annotated[str | None, Header(max_length=40)] = None,
) -> StreamingResponse:
    """Server-sent events: the position of the log, and by run the topics of what has changed.

    They go on after the position of the header Last-Event-ID, else after `after`, else from now.
    """
    source: Feed = request.app.state.feed
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdecimal():
        after = int(last_event_id)
    return StreamingResponse(
        source.messages(after),
        headers={"X-Accel-Buffering": "no"},  # A proxy would keep them until there are many.
        media_type="text/event-stream",
    )
