"""The plain files below a held folder; all else that lies there is counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from runlore.storage.held_path import HeldPath
from runlore.storage.held_trees import DEPTH_MAX, walk
from runlore.storage.left_out import ELSEWHERE, NOT_PLAIN, LeftOut

_LINKS_MAX: Final = 8


def plain_files(top: HeldPath, left_out: LeftOut) -> Iterator[tuple[str, HeldPath]]:
    """(name, path) of the plain files below a folder, sorted by name, with '/' between the parts.

    A relative link to a plain file below the folder counts as that file. All other links, pipes,
    sockets and devices are left out, and so are folders that lie too deep. Names are as on disk,
    unchecked: see `safe_name`. Raises OSError, and UnsafeEntry if `top` is not a folder.
    """

    def wanted(name: str, is_folder: bool) -> bool:
        if is_folder and name.count("/") >= DEPTH_MAX:
            left_out.add(name[:100], f"a folder more than {DEPTH_MAX} folders deep")
            return False
        return True

    for name, entry in walk(top, wanted):
        if entry.is_file:
            yield name, entry.path
        elif (target := entry.path.read_link()) is None:
            left_out.add(name, NOT_PLAIN)
        elif (path := _linked(top, name, target)) is None:
            left_out.add(name, ELSEWHERE)
        else:
            yield name, path


def _linked(top: HeldPath, name: str, target: str | None) -> HeldPath | None:
    """The plain file below `top` to which a link leads, also by way of other links to files."""
    path = None
    for _ in range(_LINKS_MAX):
        if target is None:
            break
        parts = _joined(name.split("/")[:-1], target)
        if not parts:
            return None
        name = "/".join(parts)
        path = top / name
        target = path.read_link()
    # No folder on the way is a link: `is_file` would say no.
    return path if target is None and path is not None and path.is_file() else None


def _joined(above: list[str], target: str) -> list[str] | None:
    """The parts of a relative path in a folder; None if they lead out of the top."""
    if target.startswith("/"):
        return None
    parts = list(above)
    for part in target.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts
