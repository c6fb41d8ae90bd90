"""Errors of the log. Each is also the class of `driver_errors` for the case.

RunloreError
├── VersionConflict   (IntegrityError)   another event holds this version of the stream
├── LogUnavailable    (OperationalError) the log is fine, and cannot be read or written now
│   ├── LogBusy                           the writer's turn did not come in time
│   ├── DiskFull                          no room, or the limit of file sizes; nothing was stored
│   │   └── QuotaReached                  no room for this user
│   ├── DiskFailed                        the disk reports an error
│   ├── WalRemoved                        a file beside the log was removed (`open_wal`)
│   ├── TooManyOpenFiles                  this process, or the machine, may open no more files
│   └── LogReadOnly                       the folder, file or file system cannot be written
│       └── LogTooNew                     a newer runlore has recorded what this one does not know
├── ValuesDropped                         logged values could be kept nowhere
├── LogReplaced       (FolderMoved)      another file is in the log's place (`log_file`)
├── LogCorrupt        (DatabaseError)    the file's content contradicts itself
│   └── ForeignWal                        the WAL beside the log is not its own (`left_wal`)
└── NotALog           (UserError)        a file that is not ours
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from runlore.domain.errors import RunloreError, UserError
from runlore.storage.driver_errors import (
    DatabaseError,
    DataError,
    DriverError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from runlore.storage.held_path import HeldPath
from runlore.storage.rights import rights
from runlore.storage.system_errors import (
    NO_ROOM,
    TOO_MANY_FILES,
    Fault,
    advice_on,
    fault_of,
    is_mounted_read_only,
    problem_of,
    reached_limit,
    tried,
)


class VersionConflict(RunloreError, IntegrityError):
    """Another event holds one of the (stream, version) pairs of an append."""


class LogUnavailable(RunloreError, OperationalError):
    """The log cannot be read or written now, for a reason outside of it. It may be, later."""


class LogBusy(LogUnavailable):
    """Other writers held the log for longer than the lock timeout."""


class DiskFull(LogUnavailable):
    """The disk or the file size limit left no room; nothing was stored."""


class QuotaReached(DiskFull):
    """The quota of this user, group or project left no room; nothing was stored."""


class DiskFailed(LogUnavailable):
    """The disk reports an error. Whether a commit that meets it is stored is not known."""


class ValuesDropped(RunloreError):
    """Logged values were lost: they could not be written, and not be kept in memory."""

    def __init__(self, count: int) -> None:
        values = "1 logged value was" if count == 1 else f"{count} logged values were"
        super().__init__(
            f"{values} dropped: the disk or the log could not be written to, and the space for "
            "values that wait was full; the warning before it says why. Earlier values are safe"
        )
        self.count = count


class TooManyOpenFiles(LogUnavailable):
    """This process, or the machine, has reached its limit of open files."""


class LogReadOnly(LogUnavailable):
    """The log's folder, file or file system cannot be written by this user."""


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


_DRIVER_ERRORS: Final[tuple[tuple[type[sqlite3.Error], type[DriverError]], ...]] = (
    (sqlite3.InterfaceError, InterfaceError),
    (sqlite3.DataError, DataError),
    (sqlite3.OperationalError, OperationalError),
    (sqlite3.IntegrityError, IntegrityError),
    (sqlite3.InternalError, InternalError),
    (sqlite3.ProgrammingError, ProgrammingError),
    (sqlite3.NotSupportedError, NotSupportedError),
    (sqlite3.DatabaseError, DatabaseError),
)


# SQLite hides the system's error: these are all that a write or a sync may end in, and the folder
# is tried to tell them apart. A commit that ends in one of the last may or may not be on disk.
_WRITES: Final = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})
_FAILING: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_FSTAT,
        sqlite3.SQLITE_IOERR_DELETE,
        sqlite3.SQLITE_IOERR_CLOSE,
        sqlite3.SQLITE_IOERR_SHMMAP,
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
    }
)


def from_sqlite(error: sqlite3.Error, path: str, file: HeldPath | None = None) -> Exception:
    """Our error for an error of the SQLite driver; the only place that translates these.

    `file` is that of the log, if it has one.
    """
    code = getattr(error, "sqlite_errorcode", None) or 0
    if not code and "decode to UTF-8" in str(error):  # Python's own, about a text of the file.
        return LogCorrupt(f"{path} is damaged: {error}; restore it from a copy")
    fault = _fault_behind(code, file)
    if fault is not None:
        return _of_fault(fault, error, path)
    match code & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return LogBusy(
                f"could not write to {path}: other writers held its lock until the timeout; "
                "nothing was stored, try again or raise the timeout"
            )
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
    for driver, ours in _DRIVER_ERRORS:
        if isinstance(error, driver):
            return ours(error)
    return DriverError(error)


def from_os(error: OSError, path: str | HeldPath) -> Exception:
    """Our error for an error of the operating system about a file beside the log.

    Of a path below a held folder it says whose it is.
    """
    fault = fault_of(error)
    if fault is None:
        return OperationalError(error)
    if fault is Fault.FORBIDDEN and isinstance(path, HeldPath):
        return _read_only(error, str(path), rights(path))
    return _of_fault(fault, error, str(path))


@contextmanager
def told(path: str | HeldPath) -> Iterator[None]:
    """Raise our error for a fault of the system inside the block, as `from_os` tells it.

    Other errors of the system, and those that are ours already, are raised as they are.
    """
    try:
        yield
    except RunloreError:
        raise
    except OSError as error:
        if fault_of(error) is None:
            raise
        raise from_os(error, path) from error


def _of_fault(fault: Fault, error: Exception, path: str) -> LogUnavailable:
    if fault is Fault.FORBIDDEN:
        return _read_only(error, path)
    problem, advice = problem_of(fault), advice_on(fault)
    if fault in TOO_MANY_FILES:
        return TooManyOpenFiles(f"could not open {path}: {problem}; {advice}")
    if fault is Fault.FAILING:
        return DiskFailed(f"could not read or write {path}: {problem} ({error}); {advice}")
    if fault is Fault.READ_ONLY:
        return LogReadOnly(f"could not open or write {path}: {problem} ({error}); {advice}")
    kind = QuotaReached if fault is Fault.QUOTA else DiskFull
    return kind(f"could not write to {path}: {problem} ({error}); nothing was stored, {advice}")


def _fault_behind(code: int, file: HeldPath | None) -> Fault | None:
    """The system's fault behind an error code of SQLite; None if it is none."""
    if code == sqlite3.SQLITE_FULL:
        return Fault.FULL
    if code in _WRITES:
        found = None if file is None else _tried(file)
        # Without another fault, as much as SQLite needs may be missing for the index of the WAL.
        others = Fault.FULL if code == sqlite3.SQLITE_IOERR_SHMSIZE else Fault.FAILING
        return found if found in NO_ROOM or found is Fault.READ_ONLY else others
    if code in _FAILING:
        return Fault.FAILING
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_CANTOPEN and (limit := reached_limit()) is not None:
        return limit
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) and file is not None:
        if is_mounted_read_only(file):
            return Fault.READ_ONLY
        if primary == sqlite3.SQLITE_CANTOPEN:  # Files beside the log could not be made.
            found = _tried(file)
            return found if found in NO_ROOM or found is Fault.FAILING else None
    return None


def _tried(file: HeldPath) -> Fault | None:
    """The fault that SQLite meets now when it makes the file, or one beside it, longer."""
    beside = (file.with_name(file.name + suffix) for suffix in ("", "-wal"))
    return next((fault for each in beside if (fault := tried(each)) is not None), None)


def _read_only(error: Exception, path: str, whose: str | None = None) -> LogReadOnly:
    by = "" if whose is None else f" by {whose}"
    advice = advice_on(Fault.FORBIDDEN)
    return LogReadOnly(f"could not open or write {path}: {error}{by}; {advice}")
