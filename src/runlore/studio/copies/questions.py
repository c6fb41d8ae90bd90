"""Asking the Studio's application without a server, as a viewer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import anyio
from starlette.types import ASGIApp, Message, Scope

from runlore.studio.access.guard import VIEWER
from runlore.studio.viewers import Role, Viewer


class Questions:
    """Answers of the application, kept under the keys by which the pages of a copy look them up."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.answers: dict[str, Any] = {}

    async def ask(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON of an answer, which the copy has from now on; None if there is no good one."""
        status, body = await self.content(path, params)
        if status != 200:
            return None
        found = json.loads(body)
        self.answers[key_of(path, params or {})] = found
        return found

    async def content(
        self, path: str, params: Mapping[str, Any] | None = None
    ) -> tuple[int, bytes]:
        """The status and content of an answer."""
        target = f"/api/{path}"
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": target,
            "raw_path": quote(target).encode(),
            "root_path": "",
            "query_string": urlencode(params or {}, doseq=True).encode(),
            "headers": [],
            "client": None,
            "server": None,
            VIEWER: Viewer(Role.VIEWER),
        }
        status, body = 0, bytearray()

        async def receive() -> Message:
            await anyio.sleep_forever()  # A GET has no body, and nobody hangs up.
            raise AssertionError("forever is over")

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                body.extend(message.get("body", b""))

        await self._app(scope, receive, send)
        return status, bytes(body)


def key_of(path: str, params: Mapping[str, Any]) -> str:
    """The key of a question; `api.js` makes the same."""
    pairs = sorted(
        [key, str(one)]
        for key, value in params.items()
        for one in (value if isinstance(value, list | tuple) else [value])
    )
    return json.dumps([path, pairs], ensure_ascii=False, separators=(",", ":"))
