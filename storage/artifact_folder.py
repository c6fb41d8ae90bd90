"""Artifacts as files below one folder of this machine.

root/<first two digits>/<name>    the artifacts, read-only
root/tmp/                         artifacts on their way in; anything here may be lost
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from runlore.storage.artifact_backend import (
    ArtifactBackend,
    ArtifactCorrupt,
    ArtifactMissing,
    StagedArtifact,
)
from runlore.storage.atomic_files import WholeFile, explained, removed_afterwards, sync_folder

LEFTOVER_AGE_S: Final = 24 * 60 * 60


class ArtifactFolder(ArtifactBackend):
    """An artifact appears under its final name whole, by a rename, and is never rewritten."""

    def __init__(self, root: Path) -> None:
        self.location = str(root)
        self.folder: Path | None = root
        self._root = root
        self._tmp = root / "tmp"
        self._prepared = False

    @contextmanager
    def staged(self) -> Iterator[StagedArtifact]:
        with explained(self._root):
            self._prepare()
            fd, name = tempfile.mkstemp(dir=self._tmp)
        with removed_afterwards(Path(name)), WholeFile(fd, Path(name), self._root) as file:
            yield _StagedFile(file, self._publish)

    def sync(self, name: str) -> None:
        with explained(self._root):
            sync_folder(self.path(name).parent)
            sync_folder(self._root)

    def holds(self, name: str, nbytes: int | None = None) -> bool:
        try:
            found = self.path(name).lstat()
        except FileNotFoundError:
            return False
        return stat.S_ISREG(found.st_mode) and nbytes in (None, found.st_size)

    def open(self, name: str) -> BinaryIO:
        # A workspace may come from a stranger: a link in it must not show our files.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.fdopen(os.open(self.path(name), flags), "rb")
        except FileNotFoundError:
            raise ArtifactMissing(name, self.location) from None
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise ArtifactCorrupt(name, "its file is a symbolic link") from error

    def path(self, name: str) -> Path:
        return self._root / name[:2] / name

    def _prepare(self) -> None:
        if self._prepared:
            return
        self._tmp.mkdir(parents=True, exist_ok=True)
        sync_folder(self._root.parent)
        sync_folder(self._root)
        self._sweep_leftovers()
        self._prepared = True

    def _publish(self, file: WholeFile, name: str) -> None:
        final = self.path(name)
        with explained(self._root):
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
            final.parent.mkdir(exist_ok=True)
            os.replace(file.plain, final)

    def _sweep_leftovers(self) -> None:
        """Remove the leftovers of killed processes: nobody writes to one file for a day."""
        oldest = time.time() - LEFTOVER_AGE_S
        with os.scandir(self._tmp) as entries:
            for entry in entries:
                # Another process may sweep at the same time; another user's files stay.
                with suppress(FileNotFoundError, PermissionError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.path)


class _StagedFile(StagedArtifact):
    def __init__(self, file: WholeFile, publish: Callable[[WholeFile, str], None]) -> None:
        self._file = file
        self._publish = publish

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def publish(self, name: str) -> None:
        self._publish(self._file, name)
