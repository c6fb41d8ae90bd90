"""Folders that are held open by a descriptor, whatever happens to their paths."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from runlore.domain.errors import RunloreError

DESCRIPTORS: Final = "/proc/self/fd"
PASS: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
"""Opens a folder to pass through it, on Linux without the right to list it."""


class UnsafeEntry(RunloreError, OSError):
    """Something below a held folder that is not a plain file or folder; it was not touched."""

    def __init__(self, path: object, problem: str, advice: str = "remove it") -> None:
        super().__init__(
            f"cannot use {path}: {problem}; only plain files and folders are used here; {advice}"
        )
        self.path = path
        self.problem = problem
        self.advice = advice
        self.errno = errno.ELOOP


class NotPermitted(RunloreError, PermissionError):
    """Something below a held folder that this user may not read."""

    def __init__(self, path: object, error: OSError) -> None:
        super().__init__(
            f"cannot read {path}: {error.strerror}; permit it for this user, in the folders above "
            "it as well"
        )
        self.path = path
        self.errno = error.errno


class FolderMoved(RunloreError, OSError):
    """A folder is no longer where it was opened: it was moved, replaced or removed.

    `now` is where it is, or None if it was `removed` or the system does not tell.
    """

    removed = False

    def __init__(self, path: Path, now: Path | None, *, removed: bool = False) -> None:
        if removed:
            what = f"the folder {path} was removed while it was open, with all that was in it"
            advice = "put a backup in its place, or make a new workspace"
        elif now is not None:
            what = f"the folder {path} was moved while it was open; it is {now} now"
            advice = "open it again there"
        else:
            what = f"the folder {path} was moved, replaced or removed while it was open"
            advice = "open it again where it is"
        super().__init__(f"{what}; nothing was written to what is at {path} now; {advice}")
        self.path = path
        self.now = now
        self.removed = removed
        self.errno = errno.ESTALE


class HeldFolder:
    """A folder that is held open until the object is garbage, or closed.

    It is reached as its user named it, through links as well. Once held it stays the same one, also
    where it is moved; nothing is ever written at the place that it had.

    Raises OSError if the path is not that of a folder. Forked children share the descriptor.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._fd = -1  # For `close`, if a line below raises.
        self.path = Path(os.path.abspath(path))
        self._fd = os.open(self.path, PASS)
        self.identity = _identity(os.fstat(self._fd))

    def __repr__(self) -> str:
        return f"HeldFolder({str(self.path)!r})"

    def __del__(self) -> None:
        self.close()

    @property
    def is_in_place(self) -> bool:
        """Whether the folder's path still leads to it, as far as this user may look."""
        try:
            return _identity(os.stat(self.path)) == self.identity
        except PermissionError:  # This process gave up rights after it opened the folder.
            return True
        except OSError as error:
            return error.errno == errno.EIO  # The disk fails, which its reader or writer says.

    def check_in_place(self) -> None:
        """Raise FolderMoved if the folder's path leads to another one, or nowhere."""
        if not self.is_in_place:
            raise self.moved()

    def moved(self) -> FolderMoved:
        """The error that says where the folder is now, or that it was removed."""
        return FolderMoved(self.path, self.now_at(), removed=self.is_removed)

    @property
    def is_removed(self) -> bool:
        """Whether the folder has no place any more: nothing can be kept in it."""
        return os.fstat(self.descriptor).st_nlink == 0

    def now_at(self) -> Path | None:
        """Where the folder is now; None if it was removed, or the system does not tell."""
        try:
            now = Path(os.readlink(f"{DESCRIPTORS}/{self.descriptor}"))
            return now if _identity(os.stat(now)) == self.identity else None
        except OSError:
            return None

    @property
    def descriptor(self) -> int:
        """The folder's descriptor, for as long as the object is kept. Raises ValueError."""
        if self._fd < 0:
            raise ValueError(f"the folder {self.path} is not held any more")
        return self._fd

    def close(self) -> None:
        """Let go of the folder. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
