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
from typing import IO, BinaryIO, Final, cast

from runlore.storage.artifact_backend import (
    ArtifactBackend,
    ArtifactCorrupt,
    ArtifactMissing,
    StagedArtifact,
)
from runlore.storage.atomic_files import WholeFile, explained, removed_afterwards
from runlore.storage.held_folder import NotPermitted, UnsafeEntry
from runlore.storage.held_path import HeldPath
from runlore.storage.held_trees import remove_tree
from runlore.storage.reflink import reflinked

LEFTOVER_AGE_S: Final = 24 * 60 * 60
_ALL_READ: Final = 0o444
_DIGITS: Final = 2


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
            yield StagedFile(file, lambda name: self._publish(file, aside, name))

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

    def uri(self, name: str) -> str:
        return self.file(name).plain.as_uri()

    def below(self, name: str) -> ArtifactFolder:
        return ArtifactFolder(self._root / name)

    def names(self) -> Iterator[str]:
        if not self._root.is_folder():
            return
        for folder in self._root.entries():
            if folder.is_folder and len(folder.path.name) == _DIGITS:
                found = folder.path.entries()
                yield from (entry.path.name for entry in found if entry.is_file)

    def parts(self) -> Iterator[str]:
        if self._root.is_folder():
            yield from (entry.path.name for entry in self._root.entries() if entry.is_folder)

    def link(self, name: str, source: HeldPath) -> bool:
        """Give an artifact of another store a second name here; False where that cannot be.

        Only artifacts are linked, which nobody writes to. A user's file may be changed in place,
        and would change here as well.
        """
        self._prepare()
        final = self.file(name)
        try:
            final.parent.make_folder()
            source.link(final)
        except FileExistsError:
            return True
        except OSError:  # Another file system, or one without links.
            return False
        return True

    def remove(self, name: str) -> int:
        file = self.file(name)
        try:
            nbytes = file.stat().st_size
            with explained(self._root):
                file.unlink()
                file.parent.sync()
        except FileNotFoundError:
            return 0
        return nbytes

    def remove_all(self) -> bool:
        with suppress(OSError):  # Another process may be adding a file.
            remove_tree(self._root)
        return not self._root.exists()

    def is_same_as(self, other: ArtifactBackend) -> bool:
        """By what is there: the workspace's own folder may also be held by itself."""
        if other.folder is None:
            return False
        own, others = self._root, other.folder
        if (own.folder.identity, own.parts) == (others.folder.identity, others.parts):
            return True
        return own.exists() and others.exists() and os.path.samestat(own.stat(), others.stat())

    def _prepare(self) -> None:
        if self._prepared:
            return
        self._tmp.make_folder(parents=True)
        if self._root.parts:
            self._root.parent.sync()
        self._root.sync()
        self._sweep_leftovers()
        self._prepared = True

    def _publish(self, file: WholeFile, aside: HeldPath, name: str) -> bool:
        final = self.file(name)
        # By size as well: this heals a file that was cut short.
        if self.holds(name, os.fstat(file.fileno()).st_size):
            return False
        with explained(self._root):
            # Readable for those whom the umask allows.
            os.fchmod(file.fileno(), os.fstat(file.fileno()).st_mode & _ALL_READ)
            os.fsync(file.fileno())
            final.parent.make_folder()
            aside.rename(final)
        return True

    def _sweep_leftovers(self) -> None:
        """Remove the leftovers of killed processes: nobody writes to one file for a day."""
        oldest = time.time() - LEFTOVER_AGE_S
        for entry in self._tmp.entries():
            # Another process may sweep at the same time; another user's files stay.
            with suppress(FileNotFoundError, PermissionError, IsADirectoryError):
                if entry.path.stat().st_mtime < oldest:
                    entry.path.unlink()


class StagedFile(StagedArtifact):
    """An artifact in a file beside its place, `file`."""

    def __init__(self, file: WholeFile, publish: Callable[[str], bool]) -> None:
        self.file = file
        self._publish = publish

    def write(self, data: bytes) -> None:
        self.file.write(data)

    def clone(self, source: IO[bytes]) -> IO[bytes] | None:
        if not reflinked(source, self.file.fileno()):
            return None
        self.file.seek(0)
        return self.file

    def publish(self, name: str) -> bool:
        return self._publish(name)
