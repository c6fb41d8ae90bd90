"""Copies of small files of object stores in this user's cache, each checked before it is believed.

A page that shows a run's images and logs would otherwise fetch them again at every look. Of files
that a run's key seals nothing is kept: erasing must reach all that there is.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from runlore.storage.artifact_backend import ArtifactCorrupt
from runlore.storage.atomic_files import replacing
from runlore.storage.held_path import hold
from runlore.storage.user_cache import find_cache

LIMIT_VARIABLE: Final = "RUNLORE_ARTIFACT_CACHE_LIMIT"
FILE_MAX_NBYTES: Final = 8 * 2**20
_LIMIT_NBYTES: Final = 10**9
_LOOKS: Final = 50
"""A process looks how much there is whenever it has added this part of the limit."""
_FILES: Final = "artifacts"


def limit_nbytes() -> int:
    """How many bytes of files the cache may hold; a setting that is no number counts as none."""
    with suppress(ValueError):
        return int(float(os.environ.get(LIMIT_VARIABLE, _LIMIT_NBYTES)))
    return _LIMIT_NBYTES


class ArtifactCache:
    """Files of one store, at most `FILE_MAX_NBYTES` each; the least recently used ones go first.

    All caches together hold little more than the limit.

    Without a safe folder for a cache, nothing is kept, and everything is read from the store.
    """

    def __init__(self, location: str) -> None:
        # By store as well: that somebody may read it there is what the store decides.
        self._store = hashlib.sha256(location.encode()).hexdigest()[:32]
        self._folder: Path | None = None
        self._found = False
        self._unseen_nbytes = limit_nbytes()  # What others have kept is not known at first.

    def open(self, name: str, fetch: Callable[[str], BinaryIO]) -> BinaryIO:
        """The file from the cache, else as it is fetched, and kept if it is small.

        Raises what `fetch` raises, and ArtifactCorrupt for a small file with another digest.
        """
        folder = self._where() if limit_nbytes() else None
        if folder is None:
            return fetch(name)
        with suppress(OSError):
            os.utime(folder / name)  # Used now.
            content = (hold(folder) / name).read_bytes(FILE_MAX_NBYTES + 1)
            if hashlib.sha256(content).hexdigest() == name:
                return io.BytesIO(content)
        source = fetch(name)
        content = source.read(FILE_MAX_NBYTES + 1)
        if len(content) > FILE_MAX_NBYTES:
            source.seek(0)
            return source
        source.close()
        if (found := hashlib.sha256(content).hexdigest()) != name:
            raise ArtifactCorrupt(name, f"its bytes hash to {found}")
        return self._kept(folder, name, content)

    def remove(self, name: str) -> None:
        """Forget a file."""
        folder = self._where()
        if folder is not None:
            (folder / name).unlink(missing_ok=True)

    def _kept(self, folder: Path, name: str, content: bytes) -> BinaryIO:
        with suppress(OSError):  # A full disk: the answer does not depend on the cache.
            with replacing(hold(folder) / name) as file:
                file.write(content)
            self._unseen_nbytes += len(content)
            if self._unseen_nbytes > limit_nbytes() // _LOOKS:  # To look takes a while.
                self._unseen_nbytes = 0
                _make_room(folder.parent)
        return io.BytesIO(content)

    def _where(self) -> Path | None:
        if not self._found:
            self._found = True
            cache = find_cache().folder
            if cache is not None:
                with suppress(OSError):
                    folder = cache / _FILES / self._store
                    for made in (folder.parent, folder):
                        made.mkdir(mode=0o700, exist_ok=True)
                    self._folder = folder
        return self._folder


def _make_room(folder: Path) -> None:
    """Remove the files that were used least recently, until the others are below the limit."""
    found = []
    for path in folder.glob("*/*"):
        with suppress(FileNotFoundError):
            stat = path.stat()
            found.append((stat.st_mtime_ns, stat.st_size, path))
    excess = sum(nbytes for _, nbytes, _ in found) - limit_nbytes()
    for _, nbytes, path in sorted(found):
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= nbytes
