"""Git LFS: whether files are those that their pointers in the repository name, without running it.

Its filter would turn a file back into its pointer. A pointer is a text with the SHA-256 and the
size of the file, so the file can be compared with that instead.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import Final

Ask = Callable[..., str | None]
"""Git in the folder that paths are relative to; None if it fails."""

_MAX_FILES: Final = 100
_MAX_NBYTES: Final = 1 << 30
"""More are not read when a run starts; then the files count as changed."""
_MAX_POINTER_NBYTES: Final = 1024

# With extensions ("ext-0-foo ...") the digest is not that of the file.
_POINTER: Final = re.compile(
    r"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)


def are_unchanged(ask: Ask, top: str, paths: Sequence[str]) -> bool:
    """Whether all files are kept by Git LFS, and are those that the index says."""
    if not 0 < len(paths) <= _MAX_FILES:
        return False
    attributes = (ask("check-attr", "-z", "filter", "--", *paths) or "").split("\0")
    if attributes[2::3] != ["lfs"] * len(paths):
        return False
    budget = _MAX_NBYTES
    blobs = _blobs(ask, paths)
    for path in paths:
        pointer = _pointer(ask, blobs.get(path, "none"))
        budget -= int(pointer[2]) if pointer else 0
        if pointer is None or budget < 0:
            return False
        if not _is_that_file(os.path.join(top, path), pointer[1], int(pointer[2])):
            return False
    return True


def _pointer(ask: Ask, blob: str) -> re.Match[str] | None:
    nbytes = (ask("cat-file", "-s", blob) or "").strip()
    if not nbytes.isdecimal() or int(nbytes) > _MAX_POINTER_NBYTES:
        return None
    return _POINTER.fullmatch(ask("cat-file", "blob", blob) or "")


def _blobs(ask: Ask, paths: Sequence[str]) -> Mapping[str, str]:
    """The ids of the files' blobs in the index, by path."""
    listed = (ask("ls-files", "--stage", "-z", "--", *paths) or "").split("\0")
    found = [item.partition("\t") for item in listed if item]
    return {path: entry.split(" ")[1] for entry, _, path in found}


def _is_that_file(path: str, digest: str, nbytes: int) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_size != nbytes:
                return False
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError:
        return False
