"""The pages: one shell for all paths."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from runlore.domain.errors import InvalidInput
from runlore.engine.streams import saved_view
from runlore.studio.addresses import PATHS, address_in, with_view
from runlore.studio.lanes import Lanes
from runlore.studio.shell.first import first_answers
from runlore.studio.shell.modules import modules_of
from runlore.workspace import session_of

STATIC: Final = Path(str(files("runlore.studio"))) / "static"

_PRELOAD: Final = '<link rel="modulepreload" href="{base}/static/{version}/{name}">\n'
_SHELL: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>runlore Studio</title>
<link rel="icon" href="{base}/static/{version}/icon.svg">
<link rel="stylesheet" href="{base}/static/{version}/studio.css">
{preloads}<script type="module" src="{base}/static/{version}/main.js"></script>
</head>
<body data-base="{base}">
<script type="application/json" id="first">{first}</script>
<noscript>The Studio needs scripts. The command line shows the same: runlore run list</noscript>
</body>
</html>
"""


def mount(app: FastAPI, base_path: str, version: str) -> None:
    """Add the pages to an application; `version` is that of their files."""
    base = escape(base_path)
    preloads = {
        page: "".join(
            _PRELOAD.format(base=base, version=version, name=name)
            for name in modules_of(STATIC, page)
        )
        for page in set(PATHS.values())
    }

    def shell(page: str, first: str = "{}") -> str:
        return _SHELL.format(base=base, version=version, preloads=preloads[page], first=first)

    async def page(request: Request) -> Response:
        first = await first_answers(request.app.state.lanes, request)
        name = PATHS[request.scope["route"].path]
        return HTMLResponse(shell(name, first), headers={"Cache-Control": "no-store"})

    async def view(request: Request, name: str) -> Response:
        lanes: Lanes = request.app.state.lanes
        url = await lanes.quick(lambda: _address_of(lanes, name))
        if url is None:
            return HTMLResponse(shell("experiments"), 404, headers={"Cache-Control": "no-cache"})
        return RedirectResponse(base_path + with_view(url, name), status_code=303)

    for path in PATHS:
        app.add_api_route(path, page, methods=["GET"], include_in_schema=False)
    app.add_api_route("/v/{name:path}", view, methods=["GET"], include_in_schema=False)


def _address_of(lanes: Lanes, name: str) -> str | None:
    """The address of the page that is saved under a name."""
    try:
        found = saved_view(session_of(lanes.at(None)), name)
    except InvalidInput:  # No view can have the name.
        return None
    return None if found is None else address_in(found.definition)
