"""The files that SQLite keeps beside a log while it is open: `-wal` and `-shm`.

Somebody may remove them, as if they were rubbish. A process that has them open then goes on with
files that nobody else can find. SQLite would let the next process make new ones beside them: two
writers that know nothing of each other, which destroy the log.

So such a process notices before its next use, and writes what is in its WAL back to the file; and
no process opens a log whose WAL is missing while another one has it open: the lock on the file
tells that.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from runlore.storage.errors import LogUnavailable
from runlore.storage.held_path import HeldPath

_SUFFIXES: Final = ("-wal", "-shm")
_PATIENCE_S: Final = 2.0
_LOOK_INTERVAL_S: Final = 0.005
_TICK_NS: Final = 100_000_000
# The bytes of the file that SQLite has locked for reading as long as it has a WAL open: in its
# `os_unix.c`, SHARED_FIRST and SHARED_SIZE.
_LOCKED: Final = (0x40000002, 510)
_FLOCK: Final = struct.Struct("@hhqqi")  # As Linux has it: type, whence, start, length, process.

_Identity = tuple[int, int]


class WalRemoved(LogUnavailable):
    """`-wal` or `-shm` of a log was removed or replaced while a process had the log open."""

    def __init__(self, log: HeldPath, problem: str, advice: str) -> None:
        super().__init__(
            f"{log.name}-wal or {log.name}-shm of the log {log} was removed or replaced while the "
            f"log was open: {problem}; {advice}. Never remove these files: they are part of the log"
        )


class OpenWal:
    """The WAL that a connection to a log has open, and its index.

    Make it when the connection is made. Raises WalRemoved if they are not there.
    """

    def __init__(self, log: HeldPath) -> None:
        self._log = log
        self._fd = -1  # For `_let_go`, if a line below raises.
        self._unchanged_since = -1
        try:
            self._fd = _path_of(log, "-wal").open()
            self._identities = [_identity(_path_of(log, suffix).stat()) for suffix in _SUFFIXES]
        except FileNotFoundError as error:
            self._let_go()
            raise WalRemoved(log, f"{error.filename} is missing", "try again") from error

    def __del__(self) -> None:
        self._let_go()

    @property
    def is_there(self) -> bool:
        """Whether both files are at their places, below the folder wherever that is now."""
        # Before each use of a log: so they are looked at only if the folder has changed. Its clock
        # ticks every few milliseconds, and more may follow in the tick in which this looks.
        changed = os.fstat(self._log.folder.descriptor).st_mtime_ns
        if changed == self._unchanged_since and len(self._log.parts) == 1:
            return True
        are_there = self._found() == self._identities
        if are_there and time.time_ns() - changed > _TICK_NS:
            self._unchanged_since = changed
        return are_there

    @property
    def is_replaced(self) -> bool:
        """Whether another WAL is in its place, to which somebody has written."""
        with suppress(FileNotFoundError):
            found = _path_of(self._log, "-wal").stat()
            return _identity(found) != self._identities[0] and found.st_size > 0
        return False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it: a process that saw that it was removed has written it back."""
        return os.fstat(self._fd).st_size == 0

    def write_back(self, connection: sqlite3.Connection) -> None:
        """Write what is in a removed WAL to the log, unless another process has done that.

        Then no file of it is at its place any more, and it is empty: so all who have it open see
        that it is written back. Call it in the writers' turn. Raises WalRemoved if it cannot be.
        """
        has_content = not self.is_empty
        if has_content and self.is_replaced:
            raise WalRemoved(
                self._log,
                "another program has written to the log since then",
                "what this process wrote last before that is only in its memory: read what you "
                "need from it, then start another one and run `runlore audit verify`",
            )
        if has_content:
            self._checkpoint(connection, "FULL")
        for suffix, own, found in zip(_SUFFIXES, self._identities, self._found(), strict=True):
            if found == own:
                _path_of(self._log, suffix).unlink()
        if has_content:
            self._checkpoint(connection, "TRUNCATE")

    def _checkpoint(self, connection: sqlite3.Connection, mode: str) -> None:
        busy, pages, written = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        if busy or pages != written:
            raise WalRemoved(
                self._log,
                "another process still reads what is in it",
                "try again: it is written back to the log when that is done",
            )

    def _found(self) -> list[_Identity | None]:
        """The files that are at their places."""
        found: list[_Identity | None] = []
        for suffix in _SUFFIXES:
            try:
                found.append(_identity(_path_of(self._log, suffix).stat()))
            except FileNotFoundError:
                found.append(None)
        return found

    def close(self, connection: sqlite3.Connection) -> None:
        """Close the connection, but leave the WAL that somebody may have put in the place of this.

        SQLite removes the file at that place with the last connection.
        """
        if self.is_replaced:
            with _kept_open(self._log):
                connection.close()
        else:
            connection.close()
        self._let_go()

    def _let_go(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def check_wal_is_there(log: HeldPath) -> None:
    """Raise WalRemoved if another process has the log open, and its WAL is not at its place.

    Waits for a process that is just opening or closing the log. It opens the file and closes it,
    which drops the locks that this process has on it, if any.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while not _has_wal(log) and (holder := _holder(log)) is not None:
        if time.monotonic() > deadline:
            raise WalRemoved(
                log,
                f"process {holder} has it open, and what it wrote last is only there",
                "close the workspace there, or let that process go on or end: it writes that back",
            )
        time.sleep(_LOOK_INTERVAL_S)


def _has_wal(log: HeldPath) -> bool:
    return all(_path_of(log, suffix).exists() for suffix in _SUFFIXES)


def _holder(log: HeldPath) -> int | None:
    """The process that has the log open with a WAL; None if there is none, or it cannot be told."""
    if not sys.platform.startswith("linux") or struct.calcsize("P") != 8:
        return None
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, *_LOCKED, 0)
    try:
        fd = log.open()
    except FileNotFoundError:
        return None
    try:
        kind, _, _, _, process = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    finally:
        os.close(fd)
    return int(process) if kind == fcntl.F_RDLCK else None


@contextmanager
def _kept_open(log: HeldPath) -> Iterator[None]:
    """Within the block it looks to SQLite as if another process had the log open.

    When it ends, this process may have no connection to the log.
    """
    fd = log.open()
    try:
        if hasattr(fcntl, "F_OFD_SETLK"):  # As those of others, also for the process that has it.
            lock = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, *_LOCKED, 0)
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lock)
        yield
    finally:
        os.close(fd)


def _path_of(log: HeldPath, suffix: str) -> HeldPath:
    return log.with_name(log.name + suffix)


def _identity(found: os.stat_result) -> _Identity:
    return found.st_dev, found.st_ino
