"""The file of a log in SQLite: where it is, which one it is, and what lies beside it.

SQLite opens its files by their paths, and obeys what it finds there. So the folder is held open,
what is in it is looked at first, and the file stays the one that was opened: a log that takes its
place is another log. Nothing here opens the file itself: to close a descriptor of it would drop the
locks that SQLite has on it.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from runlore.domain.errors import RunloreError
from runlore.storage.errors import LogReadOnly, NotALog
from runlore.storage.held_folder import FolderMoved, UnsafeEntry
from runlore.storage.held_path import HeldPath, hold
from runlore.storage.rights import rights

_PRIVATE_MODE: Final = 0o600
_SHARED_MODE: Final = 0o666
_OPENED_BY_SQLITE: Final = ("-wal", "-shm", "-journal")
# At the end of a rollback journal that names a further journal. SQLite deletes the file of that
# name when it has rolled back, wherever it is.
_NAMES_A_FILE: Final = bytes.fromhex("d9d505f920a163d7")
# Before, SQLite did not resolve links in paths, and kept `/proc/self/fd/<number>/...`.
_RESOLVES_LINKS: Final = sqlite3.sqlite_version_info >= (3, 39)


class LogReplaced(FolderMoved):
    """The log's file is no longer the one that was opened: it was replaced or removed."""

    def __init__(self, path: HeldPath) -> None:
        RunloreError.__init__(
            self,
            f"the log {path} was replaced or removed while it was open; nothing was written to "
            "what is there now; put the file back, or open the workspace again",
        )
        self.path = path.plain
        self.now = None
        self.errno = errno.ESTALE


class LogFile:
    """A log's file in a folder that is held open.

    `path` is a path below it, or one whose folder is held from now on. A `private` file is made for
    this user only, others as the umask says. Raises LogReadOnly if there is no such folder.
    """

    def __init__(self, path: Path | HeldPath, *, private: bool = False) -> None:
        self._is_ours = not isinstance(path, HeldPath)
        self.path = path if isinstance(path, HeldPath) else _held(path)
        self._private = private
        self._shown = str(self.path)
        self._identity: tuple[int, int] | None = None

    def let_go(self) -> None:
        """Let go of the folder, unless somebody else holds it; the object is of no use then."""
        if self._is_ours:
            self.path.folder.close()

    def beside(self, suffix: str) -> HeldPath:
        """The path of a file that belongs to the log, such as `-wal`."""
        return self.path.with_name(self.path.name + suffix)

    @property
    def identity(self) -> tuple[int, int] | None:
        """Device and inode of the file that is at the path; None if there is none."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def settle(self) -> None:
        """From now on, the file that is at the path is the log's."""
        self._identity = self.identity

    def check(self) -> None:
        """Raise FolderMoved or LogReplaced if folder or file are no longer those of the log."""
        if not self._is_there():
            self._look()

    def check_before_write(self) -> None:
        """As `check`, which believes that a file was not moved alone."""
        if not (self._is_there() and self.path.folder.is_in_place):
            self._look()

    def _is_there(self) -> bool:
        """Whether the file with its only name is at the path; if so, its folder is as well."""
        try:
            found = os.lstat(self._shown)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity and found.st_nlink == 1

    def _look(self) -> None:
        self.path.folder.check_in_place()
        if self._identity is not None and self.identity != self._identity:
            raise LogReplaced(self.path)

    def is_in_place(self) -> bool:
        """Whether folder and file are those of the log."""
        try:
            self.check()
        except FolderMoved:
            return False
        return True

    def examine(self) -> None:
        """Raise UnsafeEntry or NotALog if SQLite must not open what is there."""
        with suppress(FileNotFoundError):
            self.path.check_file(writes=False)
        for suffix in _OPENED_BY_SQLITE:
            with suppress(FileNotFoundError):
                self.beside(suffix).check_file(writes=True)
        with suppress(FileNotFoundError), self.beside("-journal").open_file() as journal:
            nbytes = journal.seek(0, os.SEEK_END)
            journal.seek(max(0, nbytes - len(_NAMES_A_FILE)))
            if journal.read() == _NAMES_A_FILE:
                raise NotALog(
                    f"{self.beside('-journal')} names a further file, which SQLite would delete; "
                    "no log of runlore has such a journal, so this one comes from somebody else: "
                    "remove it, or use a copy of the workspace that you trust"
                )

    def make(self) -> None:
        """Make the file, empty, if it is not there."""
        with suppress(FileExistsError):
            self.path.make_file(_PRIVATE_MODE if self._private else _SHARED_MODE)

    @contextmanager
    def name(self) -> Iterator[str]:
        """The path by which SQLite is to open the file, within the block."""
        now = None if _RESOLVES_LINKS else self.path.folder.now_at()
        if now is not None and len(self.path.parts) == 1:
            yield str(now / self.path.name)
            return
        with self.path.by_descriptor() as name:
            yield name

    def has_wal(self) -> bool:
        """Whether something is in the WAL, of a process that lives or of a dead one."""
        wal = self.beside("-wal")
        return wal.exists() and wal.stat().st_size > 0

    def is_in_use(self) -> bool:
        """Whether a writer has the file open, or died without writing its WAL back."""
        return self.beside("-shm").exists() or self.has_wal()

    def fingerprint(self) -> tuple[int, ...]:
        """A value that changes when the file is written to, or somebody starts to write."""
        found = self.path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino, self.is_in_use()

    def nbytes(self) -> int:
        """The size of the log, with what is not in its file yet."""
        nbytes = 0
        for path in (self.path, self.beside("-wal")):
            with suppress(OSError):
                nbytes += path.stat().st_size
        return nbytes

    def why_read_only(self) -> str | None:
        """The reason why this user cannot write to the file; None if there is none.

        Raises LogReadOnly if it cannot be read either, or cannot be made.
        """
        folder = self.path.parent
        if not self.path.exists():
            if not folder.may(os.W_OK):
                raise LogReadOnly(
                    f"cannot create {self.path}: the folder cannot be written by {rights(folder)}; "
                    "check its permissions or choose another folder"
                )
            return None
        if not self.path.may(os.R_OK):
            raise LogReadOnly(
                f"the log cannot be read by {rights(self.path)}; its owner can give others the "
                "right"
            )
        try:
            self.path.check_file(writes=True)
        except UnsafeEntry as error:
            return f"{error.problem}; {error.advice}"
        if os.fstatvfs(self.path.folder.descriptor).f_flag & os.ST_RDONLY:
            return "its file system is mounted for reading only; copy the workspace to write to it"
        if not self.path.may(os.W_OK):
            return f"its file cannot be written by {rights(self.path)}; {_ADVICE}"
        if not folder.may(os.W_OK):
            return f"its folder cannot be written by {rights(folder)}; {_ADVICE}"
        return None


_ADVICE: Final = "check the permissions, or copy the workspace to write to it"


def _held(path: Path) -> HeldPath:
    try:
        return hold(path.parent) / path.name
    except (FileNotFoundError, NotADirectoryError):
        raise LogReadOnly(f"no folder {path.parent} for the log; create it first") from None
