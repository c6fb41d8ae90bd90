"""Errors of the log. Each is also the `eventsourcing` library's class for the case.

RunloreError
├── VersionConflict   (IntegrityError)   another event holds this version of the stream
├── LogBusy           (OperationalError) the writer's turn did not come in time
├── DiskFull          (OperationalError) no room; nothing was stored
├── TooManyOpenFiles (OperationalError) this process, or the machine, may open no more files
├── ValuesDropped                         the disk was full, and the memory for values too
├── LogReadOnly       (OperationalError) the folder or file cannot be written
│   └── LogTooNew                         a newer runlore has recorded what this one does not know
├── LogReplaced       (FolderMoved)      another file is in the log's place (`log_file`)
├── LogCorrupt        (DatabaseError)    the file's content contradicts itself
└── NotALog           (UserError)        a file that is not ours
"""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
from typing import Final

from eventsourcing.persistence import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    PersistenceError,
    ProgrammingError,
)

from runlore.domain.errors import RunloreError, UserError
from runlore.storage.held_path import HeldPath
from runlore.storage.rights import rights


class VersionConflict(RunloreError, IntegrityError):
    """Another event holds one of the (stream, version) pairs of an append."""


class LogBusy(RunloreError, OperationalError):
    """Other writers held the log for longer than the lock timeout."""


class DiskFull(RunloreError, OperationalError):
    """The disk, the quota or the file size limit left no room; nothing was stored."""


class ValuesDropped(RunloreError):
    """Logged values were lost: the disk was full, and so was the in-memory buffer."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} logged values were dropped because the disk was full, and the in-memory "
            "buffer too. Earlier values are safe; free disk space to log more"
        )
        self.count = count


class TooManyOpenFiles(RunloreError, OperationalError):
    """This process, or the machine, has reached its limit of open files."""


class LogReadOnly(RunloreError, OperationalError):
    """The log's folder or file cannot be written by this user."""


class LogTooNew(LogReadOnly):
    """The log holds events of a newer runlore that may not be passed over; it can only be read."""

    def __init__(self, name: str, version: int, known_version: int) -> None:
        super().__init__(
            f"the log {name} has version {version}, and this runlore knows logs up to version "
            f"{known_version}: it reads the log without what a newer runlore added, and writes "
            "nothing to it; upgrade runlore (values that were logged wait in the workspace's "
            "spools until then)"
        )
        self.version = version
        self.known_version = known_version


class LogCorrupt(RunloreError, DatabaseError):
    """The log's file is damaged, or its tables contradict each other."""


class NotALog(UserError, OperationalError):
    """The file is not a runlore log."""


_LIBRARY_ERRORS: Final[tuple[tuple[type[sqlite3.Error], type[PersistenceError]], ...]] = (
    (sqlite3.InterfaceError, InterfaceError),
    (sqlite3.DataError, DataError),
    (sqlite3.OperationalError, OperationalError),
    (sqlite3.IntegrityError, IntegrityError),
    (sqlite3.InternalError, InternalError),
    (sqlite3.ProgrammingError, ProgrammingError),
    (sqlite3.NotSupportedError, NotSupportedError),
    (sqlite3.DatabaseError, DatabaseError),
)


# Under a file size limit (RLIMIT_FSIZE) or a quota the write itself fails. After other I/O errors
# (a failing sync, say) the commit may or may not be on disk.
_NO_ROOM: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
)
_NO_ROOM_ERRNO: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FILES_OF_A_LOG: Final = 4
_NO_DESCRIPTOR_ERRNO: Final = frozenset({errno.EMFILE, errno.ENFILE})


def from_sqlite(error: sqlite3.Error, path: str) -> Exception:
    """Our error for an error of the SQLite driver; the only place that translates these."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    if not code and "decode to UTF-8" in str(error):  # Python's own, about a text of the file.
        return LogCorrupt(f"{path} is damaged: {error}; restore it from a copy")
    if code in _NO_ROOM:
        return _disk_full(error, path)
    match code & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return LogBusy(
                f"could not write to {path}: other writers held its lock until the timeout; "
                "nothing was stored, try again or raise the timeout"
            )
        case sqlite3.SQLITE_CANTOPEN if (limit := _reached_limit()) is not None:
            return _too_many_files(limit, path)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return _read_only(error, path)
        case sqlite3.SQLITE_CORRUPT:
            return LogCorrupt(f"{path} is damaged: {error}; restore it from a copy")
        case sqlite3.SQLITE_INTERRUPT:
            return LogCorrupt(
                f"{path} is damaged: a query went on for longer than a log of its size takes, as "
                "in a file whose pages lead in circles; restore it from a copy"
            )
        case sqlite3.SQLITE_AUTH:
            return NotALog(f"{path} is not a runlore log: {error}; use a copy that you trust")
        case sqlite3.SQLITE_NOTADB:
            return NotALog(f"{path} is not a runlore log: {error}; choose another folder or name")
    for driver, ours in _LIBRARY_ERRORS:
        if isinstance(error, driver):
            return ours(error)
    return PersistenceError(error)


def from_os(error: OSError, path: str | HeldPath) -> Exception:
    """Our error for an error of the operating system about a file beside the log.

    Of a path below a held folder it says whose it is.
    """
    whose = rights(path) if isinstance(path, HeldPath) else None
    path = str(path)
    if error.errno in _NO_ROOM_ERRNO:
        return _disk_full(error, path)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return _read_only(error, path, whose)
    if error.errno in _NO_DESCRIPTOR_ERRNO:
        return _too_many_files(error, path)
    return OperationalError(error)


def _disk_full(error: Exception, path: str) -> DiskFull:
    return DiskFull(
        f"could not write to {path}: {error}; nothing was stored, free some space and try again"
    )


def _read_only(error: Exception, path: str, whose: str | None = None) -> LogReadOnly:
    by = "" if whose is None else f" by {whose}"
    return LogReadOnly(
        f"could not open or write {path}: {error}{by}; check that the folder exists and that this "
        "user may write in it"
    )


def _too_many_files(error: OSError, path: str) -> TooManyOpenFiles:
    if error.errno == errno.EMFILE:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return TooManyOpenFiles(
            f"could not open {path}: this process has as many files open as it may, {limit}; close "
            "those that it no longer needs, or raise the limit with `ulimit -n`"
        )
    return TooManyOpenFiles(
        f"could not open {path}: the machine has as many files open as its kernel allows; end "
        "processes that hold many, or raise fs.file-max"
    )


def _reached_limit() -> OSError | None:
    """The error with which this process cannot open as many files as SQLite does for a log.

    SQLite itself does not tell it, and has closed the others by now: the file, its WAL, its index.
    """
    opened: list[int] = []
    try:
        while len(opened) < _FILES_OF_A_LOG:
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error if error.errno in _NO_DESCRIPTOR_ERRNO else None
    finally:
        for fd in opened:
            os.close(fd)
    return None
