"""Paths below a held folder, which never lead out of it.

A workspace may come from a stranger, or lie where others write: a link in it could lead a reader to
any file of its user's. So a path is walked from the descriptor of the workspace's folder, and no
link is followed at any step. What is neither a plain file nor a folder is refused: a pipe would be
waited for, and a device may act when it is opened.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import total_ordering
from pathlib import Path
from typing import IO, Final, NamedTuple, TypeAlias

from runlore.domain.errors import RunloreError
from runlore.storage.held_folder import DESCRIPTORS, PASS, HeldFolder, NotPermitted, UnsafeEntry

_WRITES: Final = os.O_WRONLY | os.O_RDWR
_SAFELY: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FLAGS: Final = {
    "rb": os.O_RDONLY,
    "r+b": os.O_RDWR,
    "wb": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "xb": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    "ab": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
}
_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder, where a file should be",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}
_OWNERS_RIGHTS: Final = stat.S_IRWXU
_NO_LINK: Final = (errno.EINVAL, errno.ENOENT, errno.ENOTDIR)


def hold(path: str | os.PathLike[str]) -> HeldPath:
    """The folder at a path, held open. Raises OSError if there is none."""
    return HeldPath(HeldFolder(path), ())


class Entry(NamedTuple):
    """What lies in a folder. Links, pipes and devices are neither folder nor file."""

    path: HeldPath
    is_folder: bool
    is_file: bool


@total_ordering
class HeldPath:
    """A path below a held folder, or the folder itself. Making one touches no disk.

    It is not an `os.PathLike`: only its own methods lead to the disk. All of them raise OSError as
    those of `os` do, with the whole path as `filename`, and UnsafeEntry, which is an OSError, where
    a link or something else is in the place of a plain file or folder. What may not be read raises
    NotPermitted, which is a PermissionError.
    """

    __slots__ = ("folder", "parts")

    def __init__(self, folder: HeldFolder, parts: tuple[str, ...]) -> None:
        self.folder = folder
        self.parts = parts

    def __truediv__(self, name: str) -> HeldPath:
        """The path of a name below this one; `name` may have several parts, with '/' between.

        Raises ValueError for a name that leads elsewhere.
        """
        parts = name.split("/")
        if "\0" in name or not {"", ".", ".."}.isdisjoint(parts):
            raise ValueError(f"{name!r:.200} cannot be the name of something below {self}")
        return HeldPath(self.folder, (*self.parts, *parts))

    def __str__(self) -> str:
        return str(self.plain)

    def __repr__(self) -> str:
        return f"HeldPath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeldPath) and self._key() == other._key()

    def __lt__(self, other: HeldPath) -> bool:
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Path, tuple[str, ...]]:
        return self.folder.path, self.parts

    @property
    def plain(self) -> Path:
        """The path as people name it: for messages and other programs, never to open it here."""
        return self.folder.path.joinpath(*self.parts)

    @property
    def name(self) -> str:
        """The last part; that of the held folder if there is none."""
        return self.parts[-1] if self.parts else self.folder.path.name

    @property
    def parent(self) -> HeldPath:
        """The folder in which this is. Raises ValueError for the held folder itself."""
        if not self.parts:
            raise ValueError(f"what is above {self} is not held")
        return HeldPath(self.folder, self.parts[:-1])

    def with_name(self, name: str) -> HeldPath:
        """The path of another name beside this one."""
        return self.parent / name

    # --- looking ----------------------------------------------------------------------------

    def stat(self) -> os.stat_result:
        """What is at the path; of a link, the link itself."""
        if not self.parts:
            return os.fstat(self.folder.descriptor)
        if len(self.parts) == 1:  # The log's file is looked at before each change: half the time.
            try:
                above = self.folder.descriptor
                return os.stat(self.parts[0], dir_fd=above, follow_symlinks=False)
            except OSError as error:
                if _is_named(error):
                    raise
                raise _named(error, self) from error
        with self._above() as (above, name):
            return os.stat(name, dir_fd=above, follow_symlinks=False)

    def may(self, how: int) -> bool:
        """Whether this user may read, write or enter it; `how` as for `os.access`."""
        if not self.parts:
            return os.access(".", how, dir_fd=self.folder.descriptor)
        with self._above() as (above, name):
            return self.exists() and os.access(name, how, dir_fd=above)

    def exists(self) -> bool:
        """Whether anything is at the path, be it a link that leads nowhere."""
        return self._mode() is not None

    def is_file(self) -> bool:
        """Whether a plain file is at the path."""
        return stat.S_ISREG(self._mode() or 0)

    def is_folder(self) -> bool:
        """Whether a folder is at the path."""
        return stat.S_ISDIR(self._mode() or 0)

    def read_link(self) -> str | None:
        """The text of a symbolic link at the path; None if something else or nothing is there."""
        try:
            with self._above() as (above, name):
                return os.readlink(name, dir_fd=above)
        except OSError as error:
            if isinstance(error, UnsafeEntry) or error.errno in _NO_LINK:
                return None
            raise

    def _mode(self) -> int | None:
        try:
            return self.stat().st_mode
        except (FileNotFoundError, NotADirectoryError, UnsafeEntry):
            return None
        except PermissionError as error:
            raise NotPermitted(self, error) from error

    def names(self) -> list[str]:
        """The names in the folder, in no order."""
        with self._listing() as fd:
            return os.listdir(fd)

    def entries(self) -> list[Entry]:
        """What lies in the folder, in no order."""
        with self._listing() as fd, os.scandir(fd) as found:
            return [
                Entry(
                    HeldPath(self.folder, (*self.parts, entry.name)),
                    entry.is_dir(follow_symlinks=False),
                    entry.is_file(follow_symlinks=False),
                )
                for entry in found
            ]

    def check_file(self, *, writes: bool) -> os.stat_result:
        """Raise UnsafeEntry if `open` would refuse the file; returns its `stat`."""
        return self._checked(self.stat(), writes=writes)

    # --- files ------------------------------------------------------------------------------

    def open(self, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
        """A descriptor of a plain file; `flags` and `mode` are those of `os.open`.

        Other programs do not inherit it. A file with further names (hard links) is not opened for
        writing: it would change at those names, too.
        """
        try:
            return self._opened(flags, mode)
        except PermissionError as error:
            if flags & _WRITES:
                raise
            raise NotPermitted(self, error) from error

    def _opened(self, flags: int, mode: int) -> int:
        writes = bool(flags & _WRITES)
        with self._above() as (above, name):
            if not flags & os.O_EXCL:
                with suppress(FileNotFoundError):
                    found = os.stat(name, dir_fd=above, follow_symlinks=False)
                    self._checked(found, writes=writes)
            # What was looked at may have been replaced: the descriptor is looked at again, and only
            # then truncated.
            fd = os.open(name, flags & ~os.O_TRUNC | _SAFELY, mode, dir_fd=above)
            try:
                self._checked(os.fstat(fd), writes=writes)
                if flags & os.O_TRUNC:
                    os.ftruncate(fd, 0)
            except BaseException:
                os.close(fd)
                raise
            return fd

    def open_file(self, mode: str = "rb", *, permissions: int = 0o666) -> IO[bytes]:
        """The file as a binary file object; `mode` is rb, r+b, wb, xb or ab, as for `open`."""
        return os.fdopen(self.open(_FLAGS[mode], permissions), mode.replace("x", "w"))

    def read_bytes(self, nbytes_max: int = -1) -> bytes:
        """The file's content, or at most its first bytes."""
        with self.open_file() as file:
            return file.read(nbytes_max)

    def _checked(self, found: os.stat_result, *, writes: bool) -> os.stat_result:
        if not stat.S_ISREG(found.st_mode):
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a plain file")
            raise UnsafeEntry(self, f"it is {kind}")
        if writes and found.st_nlink > 1:
            raise UnsafeEntry(
                self,
                f"it has {found.st_nlink} names (hard links), and would change at all of them",
                "put a copy in its place",
            )
        return found

    # --- changes ----------------------------------------------------------------------------

    def make_file(self, mode: int = 0o666) -> None:
        """Make an empty file, if possible without opening it; raises FileExistsError.

        To close any descriptor of a file drops all POSIX locks that this process has on it, which
        are those of SQLite.
        """
        with self._above() as (above, name):
            if sys.platform == "linux":
                os.mknod(name, mode | stat.S_IFREG, dir_fd=above)
            else:
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode, dir_fd=above))

    def make_folder(
        self, mode: int = 0o777, *, parents: bool = False, exist_ok: bool = True
    ) -> HeldPath:
        """Make the folder, and those above it if asked; returns the path itself."""
        if not self.parts:
            return self
        if parents:
            self.parent.make_folder(parents=True)
        with self._above() as (above, name):
            try:
                os.mkdir(name, mode, dir_fd=above)
            except FileExistsError:
                if not exist_ok:
                    raise
                found = os.stat(name, dir_fd=above, follow_symlinks=False)
                if not stat.S_ISDIR(found.st_mode):
                    raise UnsafeEntry(self, "it is not a folder") from None
        return self

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove a file, or a link itself; with `missing_ok`, its folder may be missing, too."""
        with suppress(*(FileNotFoundError,) * missing_ok), self._above() as (above, name):
            os.unlink(name, dir_fd=above)

    def remove_folder(self) -> None:
        """Remove an empty folder."""
        with self._above() as (above, name):
            os.rmdir(name, dir_fd=above)

    def rename(self, to: HeldPath) -> None:
        """Move to another path, also below another held folder, and replace a file there."""
        with self._above() as (above, name), to._above() as (above_to, name_to):
            os.rename(name, name_to, src_dir_fd=above, dst_dir_fd=above_to)

    def link(self, to: HeldPath) -> None:
        """Give the file a second name (a hard link), also below another held folder."""
        with self._above() as (above, name), to._above() as (above_to, name_to):
            os.link(name, name_to, src_dir_fd=above, dst_dir_fd=above_to, follow_symlinks=False)

    def change_mode(self, mode: int) -> None:
        """Change the permissions of a file or folder; never those of what a link leads to."""
        with self._above() as (above, name):
            if not hasattr(os, "O_PATH"):
                os.chmod(name, mode, dir_fd=above, follow_symlinks=False)
                return
            fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
            try:
                os.chmod(f"{DESCRIPTORS}/{fd}", mode)
            finally:
                os.close(fd)

    def permit(self) -> None:
        """Give the owner of a folder all rights to it, as far as possible."""
        with suppress(OSError):
            mode = stat.S_IMODE(self.stat().st_mode)
            if mode & _OWNERS_RIGHTS != _OWNERS_RIGHTS:
                self.change_mode(mode | _OWNERS_RIGHTS)

    def sync(self) -> None:
        """Put the names in the folder on disk."""
        with self._listing() as fd:
            os.fsync(fd)

    # --- descriptors ------------------------------------------------------------------------

    @contextmanager
    def descriptor(self) -> Iterator[int]:
        """A descriptor of the folder at the path, within the block; it may not allow to list it."""
        fd, made = self.folder.descriptor, -1
        try:
            for place, part in enumerate(self.parts):
                fd = self._entered(fd, part, place)
                if made >= 0:
                    os.close(made)
                made = fd
            yield fd
        finally:
            if made >= 0:
                os.close(made)

    @contextmanager
    def by_descriptor(self) -> Iterator[str]:
        """A path for a library that opens files by name, valid within the block.

        It passes through no folder that could be replaced. Its last part must be looked at before
        and after: see `check_file`. Where the system has no `/proc`, it is the plain path.
        """
        with self._above() as (above, name):
            folder = f"{DESCRIPTORS}/{above}"
            yield f"{folder}/{name}" if os.path.exists(folder) else str(self)

    def _entered(self, above: int, part: str, place: int) -> int:
        try:
            return os.open(part, PASS | os.O_NOFOLLOW, dir_fd=above)
        except OSError as error:
            shown = HeldPath(self.folder, self.parts[: place + 1])
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                problem = "a symbolic link" if _is_link(above, part) else "not a folder"
                raise UnsafeEntry(shown, f"it is {problem}") from error
            if _is_named(error):
                raise
            raise _named(error, shown) from error

    @contextmanager
    def _above(self) -> Iterator[tuple[int, str]]:
        """The descriptor of the folder above, and the last part of the path."""
        with self.parent.descriptor() as above:
            try:
                yield above, self.parts[-1]
            except RunloreError:
                raise
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise UnsafeEntry(self, "it is a symbolic link") from error
                if _is_named(error):
                    raise
                raise _named(error, self) from error

    @contextmanager
    def _listing(self) -> Iterator[int]:
        """A descriptor of the folder at the path, with which it can be listed and synced."""
        try:
            with self.descriptor() as passing:
                fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=passing)
        except RunloreError:
            raise
        except PermissionError as error:
            raise NotPermitted(self, error) from error
        except OSError as error:
            if _is_named(error):
                raise
            raise _named(error, self) from error
        try:
            yield fd
        finally:
            os.close(fd)


AnyPath: TypeAlias = Path | HeldPath
"""A path that the user named, or one below a held folder."""


def open_to_read(path: AnyPath) -> IO[bytes]:
    """The file at a path, for reading; below a held folder, as `HeldPath.open_file` does."""
    return path.open_file() if isinstance(path, HeldPath) else path.open("rb")


def _is_link(above: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _is_named(error: OSError) -> bool:
    """Whether the error holds a whole path, or is not the system's.

    It is raised as it is then: an error that is its own cause would keep the frames of its callers,
    and all that they hold, until the garbage is collected.
    """
    return error.errno is None or os.path.isabs(os.fsdecode(error.filename or ""))


def _named(error: OSError, path: HeldPath) -> OSError:
    """The error with the whole path, instead of a name in a folder that is not told."""
    assert error.errno is not None, "it is the system's"
    return OSError(error.errno, os.strerror(error.errno), str(path))
