"""Disks that fail: real ones where a test can have them, else errors put in at the calls of `os`.

SQLite makes its calls itself, so its connections fail with the codes that it has for these errors.
"""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES: Final = (
    "fsync",
    "ftruncate",
    "link",
    "mkdir",
    "mknod",
    "pwrite",
    "pwritev",
    "rename",
    "replace",
    "write",
)
_CODES: Final = {
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EDQUOT: sqlite3.SQLITE_IOERR_WRITE,
    errno.EFBIG: sqlite3.SQLITE_IOERR_WRITE,
    errno.EIO: sqlite3.SQLITE_IOERR_WRITE,
    errno.EROFS: sqlite3.SQLITE_IOERR_WRITE,
}
"""What SQLite makes of an error when it writes; of others, it meets none in files that are open."""

OPENS: Final = (errno.EMFILE, errno.ENFILE)
"""Errors of opening files; those that are open can be read and written."""


class FailingDisk:
    """A disk that fails with an error from `begin` to `end`; make it before a log is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error = 0
        connect = sqlite3.connect
        disk = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
                disk.check(sql)
                return super().execute(sql, *given)

        monkeypatch.setattr(
            sqlite3, "connect", lambda *args, **opts: connect(*args, **opts, factory=Connection)
        )
        for name in _CHANGES:
            monkeypatch.setattr(os, name, self._failing(getattr(os, name)))
        monkeypatch.setattr(os, "open", self._opening(os.open))

    def begin(self, error: int) -> None:
        self.error = error

    def end(self) -> None:
        self.error = 0

    def check(self, sql: str) -> None:
        """Raise SQLite's error for a statement that makes it write."""
        if self.error in _CODES and sql.startswith(("COMMIT", "PRAGMA wal_checkpoint")):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = _CODES[self.error]
            raise error

    def _failing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if self.error and self.error not in OPENS:
                raise OSError(self.error, os.strerror(self.error))
            return function(*args, **options)

        return call

    def _opening(self, function: Callable[..., int]) -> Callable[..., int]:
        def call(path: Any, flags: int, *args: Any, **options: Any) -> int:
            fails = self.error in (*OPENS, errno.EIO) or (self.error and flags & _WRITES)
            if fails:
                raise OSError(self.error, os.strerror(self.error), os.fspath(path))
            return function(path, flags, *args, **options)

        return call


@contextmanager
def no_descriptors(*, spare: int = 0) -> Iterator[None]:
    """Within the block this process can open no file, socket or module beyond a few to spare."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        try:
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            assert error.errno == errno.EMFILE
        for _ in range(spare):
            os.close(opened.pop())
        yield
    finally:
        for fd in opened:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
