"""Answers of the tables that a page has already: 304 without asking the tables."""

from __future__ import annotations

import hashlib
import time
from typing import Final
from urllib.parse import parse_qs

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runlore.domain.errors import RunloreError
from runlore.studio.lanes import Lanes

PATHS: Final = frozenset({"/api/runs", "/api/columns", "/api/values", "/api/experiments"})
"""The questions whose answer is the same as long as nothing is recorded."""

_DURATIONS_S: Final = 10.0
"""For how long the durations of active runs, which change by themselves, may stay."""


class Unchanged:
    """The application behind tags that change with the log and the question.

    The tag is made before the answer, which may have more than it says; never less.
    """

    def __init__(self, app: ASGIApp, lanes: Lanes, base_path: str) -> None:
        self._app = app
        self._lanes = lanes
        self._paths = frozenset(path for one in PATHS for path in (one, base_path + one))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application answer it."""
        is_asked = scope["type"] == "http" and scope["method"] == "GET"
        tag = await self._tag(scope) if is_asked and scope["path"] in self._paths else None
        if tag is None:
            await self._app(scope, receive, send)
        elif tag in _known(scope):
            await Response(status_code=304, headers={"ETag": tag})(scope, receive, send)
        else:
            await self._app(scope, receive, _with_tag(send, tag))

    async def _tag(self, scope: Scope) -> str | None:
        """The tag; None if the workspace does not say where it is."""
        query: bytes = scope["query_string"]
        past = parse_qs(query.decode("latin-1")).get("asof")
        try:
            if past:
                moment = f"as of {past[-1]}"
            else:
                position = await self._lanes.quick(lambda: self._lanes.at(None).position)
                moment = f"{position}, {time.time() // _DURATIONS_S:.0f}"
        except RunloreError:
            return None  # The application says what is wrong.
        asked = f"{scope['path']}\0{moment}\0".encode() + query
        return f'W/"{hashlib.sha256(asked).hexdigest()[:24]}"'


def _known(scope: Scope) -> list[str]:
    """The tags of the answers that the page has."""
    return [
        tag.strip()
        for name, value in scope["headers"]
        if name == b"if-none-match"
        for tag in value.decode("latin-1").split(",")
    ]


def _with_tag(send: Send, tag: str) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            message["headers"] = [*message["headers"], (b"etag", tag.encode())]
        await send(message)

    return sent
