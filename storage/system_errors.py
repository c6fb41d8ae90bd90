"""What an error of the operating system means for those who write files, and what helps.

Each has its own remedy: to free space helps against a full disk, and against no other fault.
"""

from __future__ import annotations

import errno
import os
import resource
from collections import Counter
from enum import Enum
from typing import Final

from runlore.domain.errors import RunloreError
from runlore.storage.held_folder import DESCRIPTORS
from runlore.storage.held_path import HeldPath

_PROBE_NBYTES: Final = 1 << 16  # As much as SQLite needs at once: for the index of a WAL.
_FILES_OF_A_LOG: Final = 4
_HOLDERS_LOOKED_AT: Final = 5_000
_HOLDERS_SHOWN: Final = 3


class Fault(Enum):
    """Why the system cannot read or write a file."""

    FULL = "the disk is full"
    QUOTA = "the disk quota is used up"
    FILE_SIZE = "the file would be larger than this process may write"
    FAILING = "the disk reports an error"
    READ_ONLY = "the file system is mounted for reading only"
    FORBIDDEN = "this user may not do that"
    FILES_OF_PROCESS = "this process has as many files open as it may"
    FILES_OF_MACHINE = "the machine has as many files open as its kernel allows"


_FAULTS: Final = {
    errno.ENOSPC: Fault.FULL,
    errno.EDQUOT: Fault.QUOTA,
    errno.EFBIG: Fault.FILE_SIZE,
    errno.EIO: Fault.FAILING,
    errno.EROFS: Fault.READ_ONLY,
    errno.EACCES: Fault.FORBIDDEN,
    errno.EPERM: Fault.FORBIDDEN,
    errno.EMFILE: Fault.FILES_OF_PROCESS,
    errno.ENFILE: Fault.FILES_OF_MACHINE,
}
NO_ROOM: Final = frozenset({Fault.FULL, Fault.QUOTA, Fault.FILE_SIZE})
TOO_MANY_FILES: Final = frozenset({Fault.FILES_OF_PROCESS, Fault.FILES_OF_MACHINE})


def fault_of(error: OSError) -> Fault | None:
    """The fault behind an error; None for others, such as a missing file."""
    return None if error.errno is None else _FAULTS.get(error.errno)


def problem_of(fault: Fault) -> str:
    """The fault in words, with the limit that was reached."""
    match fault:
        case Fault.FILE_SIZE:
            return f"{fault.value}, {_limit(resource.RLIMIT_FSIZE)} bytes"
        case Fault.FILES_OF_PROCESS:
            return f"{fault.value}, {_limit(resource.RLIMIT_NOFILE)}{_holders()}"
    problem: str = fault.value
    return problem


def advice_on(fault: Fault) -> str:
    """What to do against the fault."""
    match fault:
        case Fault.FULL:
            return "free some space and try again"
        case Fault.QUOTA:
            return "remove files of yours, or ask for a larger quota, and try again"
        case Fault.FILE_SIZE:
            return "raise the limit with `ulimit -f` and try again"
        case Fault.FAILING:
            return (
                "copy what you need to another disk, and look for its errors in the system's log; "
                "to free space does not help"
            )
        case Fault.READ_ONLY:
            return (
                "mount it for writing, or copy the workspace; if it was mounted for writing "
                "before, the disk has failed: see the system's log"
            )
        case Fault.FORBIDDEN:
            return "check that the folder exists and that this user may write in it"
        case Fault.FILES_OF_PROCESS:
            return (
                "close those that it no longer needs, or raise the limit with `ulimit -n`, and "
                "try again"
            )
        case Fault.FILES_OF_MACHINE:
            return "end processes that hold many, or raise fs.file-max, and try again"


def explained(error: Exception) -> str:
    """The error as text, with what helps if the system is to blame."""
    fault = fault_of(error) if isinstance(error, OSError) else None
    if fault is None or isinstance(error, RunloreError):  # Ours say it themselves.
        return str(error)
    return f"{problem_of(fault)} ({error}); {advice_on(fault)}"


def reached_limit() -> Fault | None:
    """The limit of open files if it lets this process open fewer than SQLite needs for a log.

    SQLite does not tell it, and has closed the others by now: the file, its WAL, its index.
    """
    opened: list[int] = []
    try:
        while len(opened) < _FILES_OF_A_LOG:
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        fault = fault_of(error)
        return fault if fault in TOO_MANY_FILES else None
    finally:
        for fd in opened:
            os.close(fd)
    return None


def tried(file: HeldPath) -> Fault | None:
    """The fault that this process meets now when it makes a file longer; None if there is none.

    It writes to a file without a name in the same folder, which is gone at once.
    """
    if _reaches_limit(file):
        return Fault.FILE_SIZE
    flags = getattr(os, "O_TMPFILE", None)
    if flags is None:
        return None
    try:
        with file.parent.descriptor() as folder:
            fd = os.open(".", flags | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            written = 0
            while written < _PROBE_NBYTES:
                written += os.write(fd, bytes(_PROBE_NBYTES - written))
        finally:
            os.close(fd)
    except OSError as error:  # Also where the file system has no files without names.
        return fault_of(error)
    return None


def is_mounted_read_only(file: HeldPath) -> bool:
    """Whether nothing can be written to the file system of the file."""
    try:
        with file.parent.descriptor() as folder:
            return bool(os.fstatvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _reaches_limit(file: HeldPath) -> bool:
    """Whether the file is nearly as long as this process may make files."""
    limit = _limit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY:
        return False
    try:
        return file.stat().st_size + _PROBE_NBYTES > limit
    except OSError:
        return limit < _PROBE_NBYTES


def _limit(kind: int) -> int:
    soft, _ = resource.getrlimit(kind)
    return soft


def _holders() -> str:
    """What the open files of this process are, most of them first; "" where it is not told.

    Without listing them, for which one more would have to be opened.
    """
    kinds: Counter[str] = Counter()
    for fd in range(min(_limit(resource.RLIMIT_NOFILE), _HOLDERS_LOOKED_AT)):
        try:
            kinds[_kind(os.readlink(f"{DESCRIPTORS}/{fd}"))] += 1
        except OSError:
            continue
    most = [f"{count} {kind}" for kind, count in kinds.most_common(_HOLDERS_SHOWN)]
    return f" (of them {', '.join(most)})" if most else ""


def _kind(target: str) -> str:
    """A descriptor's target as a group of its like: sockets, pipes, files of one folder."""
    kind, colon, _ = target.partition(":[")
    if colon:
        return f"{kind}s"
    if target.startswith("/dev/shm/"):
        return "in /dev/shm"
    return f"in {os.path.dirname(target)}" if target.startswith("/") else target
