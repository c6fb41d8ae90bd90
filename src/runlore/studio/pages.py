"""The pages: one shell for all paths, and the files that make it."""

from __future__ import annotations

from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

STATIC: Final = Path(str(files("runlore.studio"))) / "static"

PATHS: Final = (
    *("/", "/runs", "/e/{name:path}", "/compare", "/run/{run_id}", "/run/{run_id}/{tab}", "/sql"),
)
"""The paths of pages; everything else that is shown stands in the query."""

_SHELL: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>runlore Studio</title>
<link rel="icon" href="{base}/static/{version}/icon.svg">
<link rel="stylesheet" href="{base}/static/{version}/studio.css">
<script type="module" src="{base}/static/{version}/main.js"></script>
</head>
<body data-base="{base}">
<noscript>The Studio needs scripts. The command line shows the same: runlore run list</noscript>
</body>
</html>
"""


def mount(app: FastAPI, base_path: str) -> None:
    """Add the pages to an application."""
    version = _version()
    shell = _SHELL.format(base=escape(base_path), version=version)

    async def page(request: Request) -> Response:
        return HTMLResponse(shell, headers={"Cache-Control": "no-cache"})

    for path in PATHS:
        app.add_api_route(path, page, methods=["GET"], include_in_schema=False)
    app.mount(f"/static/{version}", _Files(directory=STATIC))


class _Files(StaticFiles):
    """Files whose address changes with their content."""

    def file_response(self, *args: object, **options: object) -> Response:
        """A file, which browsers may keep for ever."""
        response = super().file_response(*args, **options)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _version() -> str:
    """A text that changes with the content of any file."""
    digest = sha256()
    for path in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(STATIC)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
