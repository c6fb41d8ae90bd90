"""The rules by which a name becomes a path, so that none leads out of its folder."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from runlore.domain.errors import InvalidType, UserError
from runlore.storage.held_path import HeldPath
from runlore.storage.left_out import BROKEN, ELSEWHERE, NOT_PLAIN, TO_A_FOLDER, LeftOut

MAX_NAME_LENGTH: Final = 5_000

_DRIVE: Final = re.compile(r"[A-Za-z]:")


class UnsafePath(UserError, ValueError):
    """A name or digest that does not lead to a place below its folder."""

    def __init__(
        self,
        asked: object,
        problem: str,
        advice: str = "use a relative name such as 'outputs/model.pkl'",
    ) -> None:
        super().__init__(f"{asked!r:.200} cannot name a file here: {problem}; {advice}")
        self.asked = asked
        self.problem = problem


def safe_name(name: str) -> str:
    """Return the name if it is a plain relative path with '/' between its parts.

    Raises UnsafePath for any other. Nothing is normalised: an accepted name is kept unchanged.

        >>> safe_name("outputs/model.pkl")
        'outputs/model.pkl'
    """
    if not isinstance(name, str):
        raise InvalidType(f"an artifact's name must be a str, got {type(name).__name__}")
    problem = _problem(name)
    if problem:
        raise UnsafePath(name, problem)
    return str(name)


def safe_destination(folder: Path, name: str) -> Path:
    """The path of a download called `name` below `folder`, with symbolic links resolved.

    Raises UnsafePath if existing links would lead out of the folder.
    """
    root = Path(os.path.realpath(folder))
    resolved = Path(os.path.realpath(root / safe_name(name)))
    if not resolved.is_relative_to(root):
        raise UnsafePath(
            name,
            f"a symbolic link leads it out of {root} to {resolved}",
            "remove the link or download to another folder",
        )
    return resolved


def held_destination(folder: HeldPath, name: str) -> HeldPath:
    """As `safe_destination`, held: a link that is put in its way later on is not followed."""
    resolved = safe_destination(folder.plain, name)
    below = resolved.relative_to(os.path.realpath(folder.plain)).as_posix()
    if below == ".":
        raise UnsafePath(name, "a symbolic link leads it to the folder itself", "remove the link")
    return folder / below


def _everything(_name: str, _is_folder: bool) -> bool:
    return True


def walk_files(
    folder: Path,
    *,
    wanted: Callable[[str, bool], bool] = _everything,
    follow_links: bool = False,
    left_out: LeftOut | None = None,
) -> Iterator[tuple[str, Path]]:
    """(name, path) of the regular files below `folder`, sorted by name, '/' between the parts.

    A link to a file inside counts as that file, with its resolved path; with `follow_links`, so
    does a link to a file elsewhere. Other links, sockets, pipes and devices are counted in
    `left_out`, and linked folders are not entered. `wanted(name, is_folder)` prunes: an unwanted
    folder is not read. Names are as on disk, unchecked: see `safe_name`.
    """
    root = Path(os.path.realpath(folder))
    left_out = LeftOut() if left_out is None else left_out
    todo = _entries(folder, "")
    while todo:
        name, entry = todo.pop()
        if entry.is_dir(follow_symlinks=False):
            if wanted(name, True):
                # A folder that was removed in the meantime holds no files.
                with suppress(FileNotFoundError):
                    todo += _entries(Path(entry.path), name + "/")
        elif not wanted(name, False):
            continue
        elif entry.is_file(follow_symlinks=False):
            yield name, Path(entry.path)
        elif not entry.is_symlink():
            left_out.add(name, NOT_PLAIN)
        else:
            target = Path(os.path.realpath(entry.path))
            kind = _kind_of(target)
            if kind == TO_A_FOLDER and not wanted(name, True):
                continue
            if kind is None and not (follow_links or target.is_relative_to(root)):
                kind = ELSEWHERE
            if kind is None:
                yield name, target
            else:
                left_out.add(name, kind)


def _kind_of(target: Path) -> str | None:
    """The kind of thing that a link leads to; None for a regular file."""
    try:
        mode = os.stat(target).st_mode
    except OSError:  # Also a link to itself, or into a folder that may not be entered.
        return BROKEN
    if stat.S_ISDIR(mode):
        return TO_A_FOLDER
    return None if stat.S_ISREG(mode) else NOT_PLAIN


def _entries(folder: Path, prefix: str) -> list[tuple[str, os.DirEntry[str]]]:
    """In reverse order. A folder sorts with its slash, so that whole names come out sorted."""

    def key(entry: os.DirEntry[str]) -> str:
        return entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name

    with os.scandir(folder) as entries:
        return [(prefix + entry.name, entry) for entry in sorted(entries, key=key, reverse=True)]


def _problem(name: str) -> str | None:
    if not name:
        return "it is empty"
    if len(name) > MAX_NAME_LENGTH:
        return f"it has {len(name):,} characters, at most {MAX_NAME_LENGTH:,} are possible"
    if any(unicodedata.category(character) == "Cc" for character in name):
        return "it holds control characters"
    if any(unicodedata.category(character) == "Cs" for character in name):
        return "it is not UTF-8 text"
    if "\\" in name:
        return "it holds a backslash (parts are separated by '/')"
    if name.startswith("/"):
        return "it is absolute"
    if _DRIVE.match(name):
        return "it starts with a drive letter"
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        return "a part of it is empty, '.' or '..'"
    return None
