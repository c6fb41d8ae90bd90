"""The driver's errors in our words, and in the library's where people can do nothing."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
from pathlib import Path

import pytest
from eventsourcing import persistence

from runlore.domain.errors import PastIsReadOnly, RunloreError
from runlore.storage import driver_errors, errors
from runlore.storage.database import Database
from runlore.storage.errors import (
    DiskFailed,
    DiskFull,
    LogBusy,
    LogCorrupt,
    LogReadOnly,
    NotALog,
    QuotaReached,
    TooManyOpenFiles,
)
from runlore.storage.held_path import hold
from runlore.storage.recorder import library_errors
from tests.processes import in_child


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_BUSY, LogBusy),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, LogBusy),
        (sqlite3.SQLITE_LOCKED, LogBusy),
        (sqlite3.SQLITE_FULL, DiskFull),
        (sqlite3.SQLITE_IOERR_WRITE, DiskFailed),
        (sqlite3.SQLITE_IOERR_READ, DiskFailed),
        (sqlite3.SQLITE_IOERR_FSYNC, DiskFailed),
        (sqlite3.SQLITE_IOERR_SHMSIZE, DiskFull),
        (sqlite3.SQLITE_READONLY, LogReadOnly),
        (sqlite3.SQLITE_READONLY_DBMOVED, LogReadOnly),
        (sqlite3.SQLITE_CANTOPEN, LogReadOnly),
        (sqlite3.SQLITE_PERM, LogReadOnly),
        (sqlite3.SQLITE_CORRUPT, LogCorrupt),
        (sqlite3.SQLITE_CORRUPT_INDEX, LogCorrupt),
        (sqlite3.SQLITE_NOTADB, NotALog),
    ],
)
def test_our_words_for_what_people_can_do_something_about(
    code: int, expected: type[RunloreError]
) -> None:
    error = sqlite3.OperationalError("broken")
    error.sqlite_errorcode = code
    ours = errors.from_sqlite(error, "the/log.db")
    assert type(ours) is expected
    assert "the/log.db" in str(ours)


@pytest.mark.parametrize(
    ("number", "expected", "advice"),
    [
        (errno.EDQUOT, QuotaReached, "ask for a larger quota"),
        (errno.ENOSPC, DiskFull, "free some space"),
        (errno.EROFS, LogReadOnly, "mount it for writing"),
        (errno.EIO, DiskFailed, "to free space does not help"),
        (errno.EOPNOTSUPP, DiskFailed, "to free space does not help"),
    ],
)
def test_the_folder_is_tried_where_sqlite_does_not_say_why_it_cannot_write(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    expected: type[RunloreError],
    advice: str,
) -> None:
    def refused(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", refused)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    ours = errors.from_sqlite(error, "the/log.db", hold(tmp_path) / "log.db")
    assert type(ours) is expected
    assert advice in str(ours)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("driver", "ours"),
    [
        (sqlite3.InterfaceError, driver_errors.InterfaceError),
        (sqlite3.DataError, driver_errors.DataError),
        (sqlite3.OperationalError, driver_errors.OperationalError),
        (sqlite3.IntegrityError, driver_errors.IntegrityError),
        (sqlite3.InternalError, driver_errors.InternalError),
        (sqlite3.ProgrammingError, driver_errors.ProgrammingError),
        (sqlite3.NotSupportedError, driver_errors.NotSupportedError),
        (sqlite3.DatabaseError, driver_errors.DatabaseError),
        (sqlite3.Error, driver_errors.DriverError),
    ],
)
def test_the_drivers_words_for_the_rest(driver: type[sqlite3.Error], ours: type[Exception]) -> None:
    assert type(errors.from_sqlite(driver("broken"), "the/log.db")) is ours


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, QuotaReached),
        (errno.EFBIG, DiskFull),
        (errno.EACCES, LogReadOnly),
        (errno.EPERM, LogReadOnly),
        (errno.EROFS, LogReadOnly),
        (errno.EIO, DiskFailed),
    ],
)
def test_our_words_for_errors_of_the_operating_system(
    number: int, expected: type[Exception]
) -> None:
    ours = errors.from_os(OSError(number, "broken", "the/log.db-queue"), "the/log.db")
    assert type(ours) is expected
    assert "the/log.db-queue" in str(ours)


@pytest.mark.parametrize(
    ("number", "whose"), [(errno.EMFILE, "this process"), (errno.ENFILE, "the machine")]
)
def test_a_limit_of_open_files_is_named(number: int, whose: str) -> None:
    ours = errors.from_os(OSError(number, "broken", "the/log.db-queue"), "the/log.db")
    assert type(ours) is TooManyOpenFiles
    assert f"could not open the/log.db: {whose} has as many files open as" in str(ours)


@pytest.mark.processes
def test_a_limit_of_open_files_is_found_behind_an_error_of_sqlite(tmp_path: Path) -> None:
    def open_more_than_may_be() -> str:
        soft = len(os.listdir("/proc/self/fd")) + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft))
        kept = []
        try:
            while True:
                kept.append(Database(tmp_path / "log.db"))
                kept[-1].add_schema(())
        except TooManyOpenFiles as error:
            return str(error)

    assert "raise the limit with `ulimit -n`" in in_child(open_more_than_may_be)


@pytest.mark.parametrize(
    ("ours", "library"),
    [
        (errors.VersionConflict("taken"), persistence.IntegrityError),
        (LogBusy("held"), persistence.OperationalError),
        (DiskFull("full"), persistence.OperationalError),
        (LogReadOnly("forbidden"), persistence.OperationalError),
        (TooManyOpenFiles("many"), persistence.OperationalError),
        (LogCorrupt("damaged"), persistence.DatabaseError),
        (NotALog("foreign"), persistence.OperationalError),
        (driver_errors.DataError("odd"), persistence.DataError),
        (driver_errors.InterfaceError("odd"), persistence.InterfaceError),
        (driver_errors.InternalError("odd"), persistence.InternalError),
        (driver_errors.NotSupportedError("odd"), persistence.NotSupportedError),
        (driver_errors.ProgrammingError("odd"), persistence.ProgrammingError),
        (driver_errors.DriverError("odd"), persistence.PersistenceError),
    ],
    ids=repr,
)
def test_a_recorder_raises_the_librarys_class_for_ours(
    ours: Exception, library: type[Exception]
) -> None:
    with pytest.raises(library, match=str(ours)) as raised, library_errors():
        raise ours
    assert type(raised.value) is library
    assert raised.value.__cause__ is ours


def test_a_recorder_raises_other_errors_as_they_are() -> None:
    with pytest.raises(PastIsReadOnly), library_errors():
        raise PastIsReadOnly(1)
