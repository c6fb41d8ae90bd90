"""Which files a page of the Studio needs: the modules that it imports, and so on, and its styles.

The modules have few forms of `import`, which these patterns know.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ENTRY: Final = "main.js"
IMPORT: Final = re.compile(
    r'^import\s+(?:(?P<default>\w+)\s+from|\{(?P<names>[^}]*)\}\s*from)\s*"(?P<path>[^"]+)";?$',
    re.MULTILINE,
)
LATER: Final = re.compile(r'\bimport\("(?P<path>[^"]+)"\)')
"""An import when the module is needed."""

STYLES: Final = "studio.css"
_STYLES_IN: Final = re.compile(r'@import url\("([^"]+)"\);')
FONT_IN: Final = re.compile(r'url\("([^"]+\.woff2)"\)')
"""The first one is that of all text."""


def style_sheet(folder: Path) -> str:
    """The style sheet of all pages as one: a browser asks once; a page from disk may not ask."""
    text = (folder / STYLES).read_text(encoding="utf-8")
    return _STYLES_IN.sub(lambda found: (folder / found[1]).read_text(encoding="utf-8"), text)


def modules_of(folder: Path, page: str) -> list[str]:
    """The paths of the modules that a page needs before it is shown, the entry first."""
    found: dict[str, None] = {}
    for entry in (ENTRY, f"pages/{page}.js"):
        _collect(folder, entry, found)
    return list(found)


def _collect(folder: Path, name: str, found: dict[str, None]) -> None:
    if name not in found:
        found[name] = None
        text = (folder / name).read_text(encoding="utf-8")
        for path in named(IMPORT, name, text):
            _collect(folder, path, found)


def named(way: re.Pattern[str], name: str, text: str) -> Iterator[str]:
    """The paths of the modules that a module of this name and text imports in a way."""
    for found in way.finditer(text):
        yield resolved(name, found["path"])


def resolved(name: str, path: str) -> str:
    """The path of a module that another one names."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
