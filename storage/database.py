"""One SQLite file, one connection per process, and the rules for writing to it."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from eventsourcing.persistence import ProgrammingError

from runlore.domain.events import LOG_VERSION
from runlore.storage import fork_guard
from runlore.storage.errors import (
    LogBusy,
    LogCorrupt,
    LogReadOnly,
    LogTooNew,
    NotALog,
    from_os,
    from_sqlite,
)
from runlore.storage.write_queue import WriteQueue

APPLICATION_ID: Final = 0x726C6F67  # "rlog", where `file` and we look for whose file this is.
DEFAULT_LOCK_TIMEOUT_S: Final = 60.0

# The settings that we own; no other connection options are accepted. The page size applies to new
# files: five of a slow run's batches, 1.5 KB each, fit into 8 KiB, and only two into 4.
_PAGE_SIZE: Final = "PRAGMA page_size=8192"
_SETTINGS: Final = (
    "PRAGMA synchronous=FULL",  # Every commit is on disk when it returns.
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cache_size=-4000",
)

_OVERWRITES: Final = "PRAGMA secure_delete=ON"
_LONG_S: Final = 1e6  # SQLite counts milliseconds in 31 bits.


class Database:
    """A file in WAL mode that several processes and threads append to.

    `path` is a file path, a `file:` URI or `:memory:`. The file is created on first use, with our
    application id. Files of other applications are refused with `NotALog`. A file in a folder that
    cannot be written is opened for reading only; so is one whose version is above `known_version`,
    which is looked at in each write transaction.

    Opened lazily and once per process; closed before a fork (see `fork_guard`).
    """

    fork_order = fork_guard.ForkOrder.LOG

    def __init__(
        self,
        path: str | Path,
        *,
        lock_timeout_s: float | None = None,
        known_version: int = LOG_VERSION,
    ) -> None:
        self.name = str(path)
        self.known_version = known_version
        self.version = 0  # As the last write transaction found it.
        self.lock_timeout_s = DEFAULT_LOCK_TIMEOUT_S if lock_timeout_s is None else lock_timeout_s
        self.read_only = False
        self._in_memory = _in_memory(self.name)
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._queue: WriteQueue | None = None
        self._frozen: tuple[int, ...] | None = None
        self._pid = os.getpid()
        self._overwrites = False
        fork_guard.guard(self)

    def add_schema(self, statements: Sequence[str]) -> None:
        """Create the tables that a recorder needs, if they do not exist."""
        with self.write() as connection:
            for statement in statements:
                connection.execute(statement)

    def overwrite_what_is_deleted(self) -> None:
        """From now on, overwrite deleted data with zeros in the file."""
        with self._lock, self._translated():
            self._overwrites = True
            if self._connection is not None:
                self._connection.execute(_OVERWRITES)

    def truncate_wal(self, timeout_s: float) -> bool:
        """Write the WAL back into the file, sync the file, and empty the WAL.

        Returns False if another process kept the file busy until the timeout.
        """
        with self._lock, self._translated():
            connection = self._open()
            with self._turn():
                connection.execute(f"PRAGMA busy_timeout={int(1_000 * min(timeout_s, _LONG_S))}")
                try:
                    row = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                finally:
                    connection.execute(f"PRAGMA busy_timeout={int(1_000 * self.lock_timeout_s)}")
        was_busy: int = row[0]
        return not was_busy

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that read; other threads wait."""
        with self._lock, self._translated():
            yield self._open()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: this process's turn in the queue, BEGIN IMMEDIATE, COMMIT, sync.

        If the block or the commit raises, nothing is stored, and that exception survives.
        """
        with self._lock, self._translated():
            connection = self._open()
            if self.read_only:  # Somebody may have given the right to write since.
                self.close()
                connection = self._open()
            if self.read_only:
                raise LogReadOnly(
                    f"{self.name} was opened for reading only, because its folder cannot be "
                    "written; check the permissions, or copy the workspace to write to it"
                )
            if connection.in_transaction:
                raise ProgrammingError(f"a transaction on {self.name} cannot begin within another")
            with self._turn():
                try:
                    # Inside: an interrupt during SQLite's wait is raised after the BEGIN.
                    connection.execute("BEGIN IMMEDIATE")
                    self._check_version(connection)
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    self._roll_back(connection)
                    raise

    def sync(self) -> None:
        """Put on disk all commits so far, of any program and with any settings.

        A commit of ours is synced before anybody sees it. A commit of a program that has set SQLite
        to sync less is not; but SQLite syncs the WAL before it copies from it, and syncs the copied
        pages before the WAL starts again. Raises LogBusy, LogReadOnly.
        """
        with self._lock, self._translated():
            connection = self._open()
            if self._in_memory:
                return
            if self.read_only:
                raise LogReadOnly(
                    f"{self.name} was opened for reading only, so it cannot be synced to disk; "
                    "check the permissions"
                )
            with self._turn():  # Keeps writers out: they checkpoint now and then as well.
                (busy, *_) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if busy:
                raise LogBusy(
                    f"{self.name} is being copied from its WAL by another process; nothing was "
                    "synced, try again"
                )

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self._lock:
            self._forget_parent()
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._frozen = None
            if self._queue is not None:
                self._queue.forget()

    def before_fork(self) -> None:
        self._lock.acquire()
        if not self._in_memory:
            self.close()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.RLock()
        if self._in_memory:
            self._pid = os.getpid()  # The child continues with a copy.
        else:
            self._forget_parent()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise from_sqlite(error, self.name) from error
        except UnicodeDecodeError as error:  # From SQLite's message, which quotes damaged bytes.
            raise LogCorrupt(f"{self.name} is damaged: {error}; restore it from a copy") from error

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._queue is None:
            yield
            return
        try:
            self._wait_for_turn(self._queue)
            yield
        finally:
            self._queue.release()

    def _wait_for_turn(self, queue: WriteQueue) -> None:
        try:
            came = queue.acquire(self.lock_timeout_s)
        except OSError as error:
            raise from_os(error, self.name) from error
        if not came:
            raise LogBusy(
                f"could not write to {self.name}: its writers' queue did not move for "
                f"{self.lock_timeout_s:g} s; nothing was stored, try again or raise the timeout"
            )

    def _check_version(self, connection: sqlite3.Connection) -> None:
        self.version = version_of(connection)
        if self.version > self.known_version:
            raise LogTooNew(self.name, self.version, self.known_version)

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        if not connection.in_transaction:  # A full disk may have rolled back already.
            return
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            # The first error must survive; a new connection starts from the file.
            self._connection = None
            connection.close()

    def _open(self) -> sqlite3.Connection:
        self._forget_parent()
        if self._frozen is not None and self._frozen != _fingerprint(_path_of(self.name)):
            self.close()  # Somebody with the right to write has written.
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _forget_parent(self) -> None:
        """After a fork that bypassed our hooks: never use or close the parent's connection."""
        if self._pid != os.getpid():
            if self._connection is not None:
                _abandoned.append(self._connection)
            self._connection = None
            self._queue = None
            self._pid = os.getpid()

    def _connect(self) -> sqlite3.Connection:
        if self._in_memory:
            connection = self._connect_to(self.name)
            self._prepare(connection)
            return connection
        path = _path_of(self.name)
        self.read_only = not _writable(path)
        if self.read_only:
            return self._connect_read_only(path)
        self._queue = WriteQueue(path.with_name(path.name + "-queue"))
        connection = self._connect_to(self.name)
        try:
            _refuse_foreign(connection, path)
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                with self._turn():  # Two processes cannot switch to WAL at the same time.
                    connection.execute("PRAGMA journal_mode=WAL")
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_read_only(self, path: Path) -> sqlite3.Connection:
        fingerprint = _fingerprint(path)
        # While a writer is there, the file is read through its shared memory. Otherwise, without
        # the right to create that, SQLite must be told that nobody changes the file: so we check.
        self._frozen = None if _in_use(path) else fingerprint
        mode = "mode=ro" if self._frozen is None else "mode=ro&immutable=1"
        connection = self._connect_to(f"file:{quote(str(path))}?{mode}")
        try:
            _refuse_foreign(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_to(self, target: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            target,
            uri=target.startswith("file:"),
            isolation_level=None,
            check_same_thread=False,
            timeout=self.lock_timeout_s,
        )
        connection.execute(_PAGE_SIZE)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        for setting in (*_SETTINGS, *[_OVERWRITES] * self._overwrites):
            connection.execute(setting)
        if connection.execute("PRAGMA application_id").fetchone()[0] == 0:
            with self._turn():
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                if not version_of(connection):  # Another process may have been faster.
                    connection.execute("PRAGMA user_version=1")


def version_of(connection: sqlite3.Connection) -> int:
    """The version of the log in the file; 0 if it is not set yet."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


_abandoned: list[sqlite3.Connection] = []


def _in_memory(name: str) -> bool:
    if not name.startswith("file:"):
        return name == ":memory:"
    return _path_of(name).name == ":memory:" or "mode=memory" in urlsplit(name).query


def _path_of(name: str) -> Path:
    return Path(unquote(urlsplit(name).path) if name.startswith("file:") else name)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _in_use(path: Path) -> bool:
    """Whether a writer has the file open, or died without writing its WAL back."""
    wal = _beside(path, "-wal")
    return _beside(path, "-shm").exists() or (wal.exists() and wal.stat().st_size > 0)


def _fingerprint(path: Path) -> tuple[int, ...]:
    """A value that changes when the file is written to, or somebody starts to write."""
    found = path.stat()
    return (found.st_mtime_ns, found.st_size, found.st_ino, _in_use(path))


def _writable(path: Path) -> bool:
    if not path.parent.is_dir():
        raise LogReadOnly(f"no folder {path.parent} for the log; create it first")
    target = path if path.exists() else path.parent
    if os.access(path.parent, os.W_OK) and os.access(target, os.W_OK):
        return True
    if not path.exists():
        raise LogReadOnly(
            f"cannot create {path}: the folder cannot be written; check its permissions or "
            "choose another folder"
        )
    return False


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    # In this order: another process may be creating the log, the id first and then the tables.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    if application_id not in (0, APPLICATION_ID) or (application_id == 0 and tables):
        raise NotALog(
            f"{path} is a SQLite file of another application (application id "
            f"{application_id:#x}, {tables} tables); choose another folder or name"
        )
