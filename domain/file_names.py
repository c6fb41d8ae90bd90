"""Names of files that cannot be written into one folder: a file is not a folder as well."""

from __future__ import annotations

from collections.abc import Collection, Iterator


def clashes(new: Collection[str], held: Collection[str]) -> dict[str, str]:
    """The new names that need a folder where another name is a file, or the other way round.

    By new name, one of the others: `outputs/model` and `outputs/model/weights` clash. O(names).
    """
    found = {}
    for name in sorted(new):
        for folder in _folders_of(name):
            if folder in held or folder in new:
                found[name] = folder
    if len(new) == 1:  # Faster, and a run may get thousands of files one by one.
        (name,) = new
        below = name + "/"
        for other in held:
            if other.startswith(below):
                found[name] = other
        return found
    for other in (*held, *new):
        for folder in _folders_of(other):
            if folder in new:
                found[folder] = other
    return found


def _folders_of(name: str) -> Iterator[str]:
    end = name.find("/")
    while end >= 0:
        yield name[:end]
        end = name.find("/", end + 1)
