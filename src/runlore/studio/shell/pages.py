"""The pages: one shell for all paths."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from runlore.domain.errors import InvalidInput
from runlore.engine.streams import saved_view
from runlore.studio.addresses import PATHS, address_in, with_view
from runlore.studio.lanes import Lanes
from runlore.studio.shell.first import first_answers
from runlore.studio.shell.modules import FONT_IN, modules_of, style_sheet
from runlore.workspace import session_of

STATIC: Final = Path(str(files("runlore.studio"))) / "static"

_AHEAD: Final = '<link {how} href="{base}/static/{version}/{name}">\n'
_MODULE: Final = 'rel="modulepreload"'
_FONT: Final = 'rel="preload" as="font" type="font/woff2" crossorigin'
_BEGINNING: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>runlore Studio</title>
<link rel="icon" href="{base}/static/{version}/icon.svg">
<link rel="stylesheet" href="{base}/static/{version}/studio.css">
{ahead}<script type="module" src="{base}/static/{version}/main.js"></script>
</head>
<body data-base="{base}">
<script type="application/json" id="first">"""
_END: Final = """</script>
<noscript>The Studio needs scripts. The command line shows the same: runlore run list</noscript>
</body>
</html>
"""
_NOT_KEPT: Final = {"Cache-Control": "no-store"}


def mount(app: FastAPI, base_path: str, version: str) -> None:
    """Add the pages to an application; `version` is that of their files."""
    base = escape(base_path)
    beginnings = {page: _beginning(page, base, version) for page in set(PATHS.values())}

    async def page(request: Request) -> Response:
        return StreamingResponse(parts(request), headers=_NOT_KEPT, media_type="text/html")

    async def parts(request: Request) -> AsyncIterator[str]:
        # A browser asks for the scripts while the answers are made.
        yield beginnings[PATHS[request.scope["route"].path]]
        yield await first_answers(request.app.state.lanes, request) + _END

    async def view(request: Request, name: str) -> Response:
        lanes: Lanes = request.app.state.lanes
        url = await lanes.quick(lambda: _address_of(lanes, name))
        if url is None:
            return HTMLResponse(beginnings["experiments"] + "{}" + _END, 404, headers=_NOT_KEPT)
        return RedirectResponse(base_path + with_view(url, name), status_code=303)

    for path in PATHS:
        app.add_api_route(path, page, methods=["GET"], include_in_schema=False)
    app.add_api_route("/v/{name:path}", view, methods=["GET"], include_in_schema=False)


def _beginning(page: str, base: str, version: str) -> str:
    """A page until its first answers, with links to all that it needs at first.

    A browser would find them one after the other: a font when there is text, for instance.
    """
    found = [(_FONT, name) for name in FONT_IN.findall(style_sheet(STATIC))[:1]]
    found += [(_MODULE, name) for name in modules_of(STATIC, page)]
    links = [_AHEAD.format(how=how, base=base, version=version, name=name) for how, name in found]
    return _BEGINNING.format(base=base, version=version, ahead="".join(links))


def _address_of(lanes: Lanes, name: str) -> str | None:
    """The address of the page that is saved under a name."""
    try:
        found = saved_view(session_of(lanes.at(None)), name)
    except InvalidInput:  # No view can have the name.
        return None
    return None if found is None else address_in(found.definition)
