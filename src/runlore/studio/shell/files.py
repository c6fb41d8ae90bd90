"""The files that make the pages, in memory: all of one version, and no thread reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from runlore.studio.shell.modules import STYLES, style_sheet

_TYPES: Final[Mapping[str, str]] = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_KEPT_FOR_EVER: Final = "public, max-age=31536000, immutable"


class Files(NamedTuple):
    """Files by their paths, and a text that changes with any of them."""

    contents: Mapping[str, bytes]
    version: str

    @classmethod
    def of(cls, folder: Path) -> Files:
        """All files of a folder."""
        contents, digest = dict(_read(folder)), sha256()
        if STYLES in contents:
            contents[STYLES] = style_sheet(folder).encode()
        for name, content in contents.items():
            digest.update(f"{name}\0".encode() + content)
        return cls(contents, digest.hexdigest()[:12])


class ServedFiles:
    """The application behind the files, whose addresses name their version."""

    def __init__(self, app: ASGIApp, files: Files, base_path: str) -> None:
        self._app = app
        self._contents = {
            f"{base}/static/{files.version}/{name}": content
            for name, content in files.contents.items()
            for base in ("", base_path)  # Which a proxy may have taken away already.
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a file, or let the application answer."""
        is_asked = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        content = self._contents.get(scope["path"]) if is_asked else None
        if content is None:
            await self._app(scope, receive, send)
            return
        kind = _TYPES.get(PurePosixPath(scope["path"]).suffix, "text/plain; charset=utf-8")
        headers = {"Content-Type": kind, "Cache-Control": _KEPT_FOR_EVER}
        await Response(content, headers=headers)(scope, receive, send)


def _read(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield path.relative_to(folder).as_posix(), path.read_bytes()
