"""Artifacts as files below one folder of this machine.

root/<first two digits>/<name>    the artifacts, read-only
root/tmp/                         artifacts on their way in; anything here may be lost
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final, cast

from runlore.storage.artifact_backend import (
    ArtifactBackend,
    ArtifactCorrupt,
    ArtifactMissing,
    StagedArtifact,
)
from runlore.storage.atomic_files import WholeFile, explained, removed_afterwards
from runlore.storage.held_folder import NotPermitted, UnsafeEntry
from runlore.storage.held_path import HeldPath

LEFTOVER_AGE_S: Final = 24 * 60 * 60
_ALL_READ: Final = 0o444


class ArtifactFolder(ArtifactBackend):
    """An artifact appears under its final name whole, by a rename, and is never rewritten.

    Nothing is stored once the folder was moved, replaced or removed: `staged` raises FolderMoved.
    """

    def __init__(self, root: HeldPath) -> None:
        self.location = str(root)
        self.folder: HeldPath | None = root
        self._root = root
        self._tmp = root / "tmp"
        self._prepared = False

    @contextmanager
    def staged(self) -> Iterator[StagedArtifact]:
        self._root.folder.check_in_place()
        with explained(self._root):
            self._prepare()
            aside = self._tmp / os.urandom(16).hex()
            fd = aside.open(os.O_RDWR | os.O_CREAT | os.O_EXCL)
        with removed_afterwards(aside), WholeFile(fd, aside, self._root) as file:
            yield _StagedFile(file, lambda name: self._publish(file, aside, name))

    def sync(self, name: str) -> None:
        with explained(self._root):
            self.file(name).parent.sync()
            self._root.sync()

    def holds(self, name: str, nbytes: int | None = None) -> bool:
        file = self.file(name)
        try:
            found = file.stat()
        except (FileNotFoundError, UnsafeEntry):
            return False
        except PermissionError as error:
            raise NotPermitted(file, error) from error
        return stat.S_ISREG(found.st_mode) and nbytes in (None, found.st_size)

    def open(self, name: str) -> BinaryIO:
        # A workspace may come from a stranger: a link in it must not show our files.
        try:
            return cast(BinaryIO, self.file(name).open_file())
        except FileNotFoundError:
            self._root.folder.check_in_place()
            raise ArtifactMissing(name, self.location) from None
        except UnsafeEntry as error:
            raise ArtifactCorrupt(name, f"{error.path}: {error.problem}") from error

    def file(self, name: str) -> HeldPath:
        return self._root / name[:2] / name

    def _prepare(self) -> None:
        if self._prepared:
            return
        self._tmp.make_folder(parents=True)
        if self._root.parts:
            self._root.parent.sync()
        self._root.sync()
        self._sweep_leftovers()
        self._prepared = True

    def _publish(self, file: WholeFile, aside: HeldPath, name: str) -> None:
        final = self.file(name)
        with explained(self._root):
            # Readable for those whom the umask allows.
            os.fchmod(file.fileno(), os.fstat(file.fileno()).st_mode & _ALL_READ)
            os.fsync(file.fileno())
            final.parent.make_folder()
            aside.rename(final)

    def _sweep_leftovers(self) -> None:
        """Remove the leftovers of killed processes: nobody writes to one file for a day."""
        oldest = time.time() - LEFTOVER_AGE_S
        for entry in self._tmp.entries():
            # Another process may sweep at the same time; another user's files stay.
            with suppress(FileNotFoundError, PermissionError, IsADirectoryError):
                if entry.path.stat().st_mtime < oldest:
                    entry.path.unlink()


class _StagedFile(StagedArtifact):
    def __init__(self, file: WholeFile, publish: Callable[[str], None]) -> None:
        self._file = file
        self._publish = publish

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def publish(self, name: str) -> None:
        self._publish(name)
