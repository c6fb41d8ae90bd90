"""Whole folders below a held folder: read and removed without following a link."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from runlore.storage.held_folder import UnsafeEntry
from runlore.storage.held_path import Entry, HeldPath

DEPTH_MAX: Final = 200
"""The folders below each other that a walk enters."""


def _everything(_name: str, _is_folder: bool) -> bool:
    return True


def walk(
    top: HeldPath, wanted: Callable[[str, bool], bool] = _everything
) -> Iterator[tuple[str, Entry]]:
    """(name, entry) of all below `top` that is not a folder, sorted by name.

    The names are relative, with '/' between their parts, as on disk. `wanted(name, is_folder)`
    prunes: an unwanted folder is not read. Folders that are removed in the meantime hold nothing.
    Raises UnsafeEntry for more than DEPTH_MAX folders below each other, and OSError.
    """
    todo = _in_reverse("", top.entries())
    while todo:
        name, entry = todo.pop()
        if not wanted(name, entry.is_folder):
            continue
        if not entry.is_folder:
            yield name, entry
            continue
        if name.count("/") >= DEPTH_MAX:
            raise UnsafeEntry(entry.path, f"it lies more than {DEPTH_MAX} folders deep")
        with suppress(FileNotFoundError):
            todo += _in_reverse(name + "/", entry.path.entries())


def remove_tree(top: HeldPath) -> None:
    """Remove a folder with all that is in it, however deep; of links, the links themselves.

    Folders in which their owner has no rights are removed as well. Raises OSError for the first
    entry that cannot be removed.
    """
    top.permit()
    while folders := _without_files(top):
        for folder in folders:
            # What lies deeper comes up to the top: no level needs a descriptor or a longer path.
            for child in _without_files(folder):
                child.permit()  # To move a folder takes the right to write to it.
                child.rename(top / f".{os.urandom(8).hex()}")
            folder.remove_folder()
    top.remove_folder()


def _without_files(folder: HeldPath) -> list[HeldPath]:
    """The folders in a folder, after all else in it was removed."""
    folder.permit()
    entries = folder.entries()
    for entry in entries:
        if not entry.is_folder:
            entry.path.unlink(missing_ok=True)
    return [entry.path for entry in entries if entry.is_folder]


def _in_reverse(prefix: str, entries: list[Entry]) -> list[tuple[str, Entry]]:
    """A folder sorts with its slash, so that whole names come out sorted."""

    def key(entry: Entry) -> str:
        return entry.path.name + "/" * entry.is_folder

    return [(prefix + entry.path.name, entry) for entry in sorted(entries, key=key, reverse=True)]
