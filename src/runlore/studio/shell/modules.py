"""Which modules a page of the Studio needs: those that it imports, and so on."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ENTRY: Final = "main.js"
_IMPORT: Final = re.compile(r'^(?:import|export)\s[^"]*?from\s*"(\.[^"]+)"', re.MULTILINE)
_LATER: Final = re.compile(r'\bimport\("(\.[^"]+)"\)')


def modules_of(folder: Path, page: str) -> list[str]:
    """The paths of the modules that a page needs before it is shown, the entry first."""
    found: dict[str, None] = {}
    for entry in (ENTRY, f"pages/{page}.js"):
        _collect(folder, entry, found)
    return list(found)


def _collect(folder: Path, name: str, found: dict[str, None]) -> None:
    if name not in found:
        found[name] = None
        for path in _IMPORT.findall((folder / name).read_text(encoding="utf-8")):
            _collect(folder, resolved(name, path), found)


def loaded_later(folder: Path, name: str) -> Iterator[str]:
    """The modules that a module loads when they are needed."""
    for path in _LATER.findall((folder / name).read_text(encoding="utf-8")):
        yield resolved(name, path)


def resolved(name: str, path: str) -> str:
    """The path of a module that another one names."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
