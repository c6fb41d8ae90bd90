"""One SQLite file, one connection per process, and the rules for writing to it."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit
from weakref import WeakSet

from runlore.domain.errors import InvalidInput, RunloreError
from runlore.domain.events import LOG_VERSION
from runlore.storage import fork_guard, interruptions, left_wal
from runlore.storage.errors import (
    LogBusy,
    LogCorrupt,
    LogReadOnly,
    from_os,
)
from runlore.storage.fence import FENCED, too_new
from runlore.storage.held_folder import FolderMoved
from runlore.storage.held_path import HeldPath
from runlore.storage.interruptions import AFTERWARDS, Interrupting
from runlore.storage.log_file import LogFile, LogReplaced
from runlore.storage.open_wal import OpenWal, check_wal_is_there
from runlore.storage.patience import longest_wait_s
from runlore.storage.sqlite_guard import APPLICATION_ID, Guard
from runlore.storage.sqlite_keys import is_erasable
from runlore.storage.sqlite_queries import fence_of, version_of
from runlore.storage.sqlite_schema import statements_by_name
from runlore.storage.turns import Turns
from runlore.storage.write_queue import WriteQueue

DEFAULT_LOCK_TIMEOUT_S: Final = 60.0

# The settings that we own; no other connection options are accepted. The page size applies to new
# files: five of a slow run's batches, 1.5 KB each, fit into 8 KiB, and only two into 4.
_PAGE_SIZE: Final = "PRAGMA page_size=8192"
_SETTINGS: Final = (
    "PRAGMA synchronous=FULL",  # Every commit is on disk when it returns.
    "PRAGMA cache_size=-4000",
)

_OVERWRITES: Final = "PRAGMA secure_delete=ON"
_PATIENCE_S: Final = 1.0
_LONG_S: Final = 1e6  # SQLite counts milliseconds in 31 bits.


class Database:
    """A file in WAL mode that several processes and threads append to.

    `path` is a path, also below a held folder, a `file:` URI or `:memory:`. The file is created on
    first use, with our application id; if it is `private`, for this user only. Files of other
    applications, and logs that define other things than ours, are refused with `NotALog`. A file in
    a folder that cannot be written is opened for reading only; so is one whose version is above
    `known_version`, which is looked at in each write transaction.

    The folder is held from the first use until `close`. If it, or the file, is not in its place any
    more, each use raises FolderMoved, until it is put back.

    Opened lazily and once per process; closed before a fork (see `fork_guard`).
    """

    fork_order = fork_guard.ForkOrder.LOG

    def __init__(
        self,
        path: str | Path | HeldPath,
        *,
        lock_timeout_s: float | None = None,
        known_version: int = LOG_VERSION,
        private: bool = False,
    ) -> None:
        self.name = str(path)
        self.known_version = known_version
        self.version = 0  # As the last write transaction found it.
        self.lock_timeout_s = DEFAULT_LOCK_TIMEOUT_S if lock_timeout_s is None else lock_timeout_s
        self._in_memory = not isinstance(path, HeldPath) and _in_memory(self.name)
        self._path = path if isinstance(path, HeldPath) else _path_of(self.name)
        self._private = private
        self._guard = Guard(self.name)
        self._lock = interruptions.new_lock(self)
        self._turns = Turns(self.name)  # Before the lock: reads go on while a write waits.
        self._connection: sqlite3.Connection | None = None
        self._queue: WriteQueue | None = None
        self._file: LogFile | None = None
        self._wal: OpenWal | None = None
        self._has_written_back = False
        self._last: tuple[int, bytes] | None = None
        self.read_only = False
        self._why_read_only: str | None = None
        self._frozen: tuple[int, ...] | None = None
        self._pid = os.getpid()
        self._overwrites = False
        fork_guard.guard(self)
        _databases.add(self)

    @property
    def folder(self) -> HeldPath | None:
        """The folder of the file, if it is held now; None for memory."""
        return None if self._file is None else self._file.path.parent

    def expect(self, statements: Sequence[str]) -> None:
        """Accept what these statements define, beside the tables of a log."""
        self._guard.known.update(statements_by_name(statements).values())

    def add_schema(self, statements: Sequence[str]) -> None:
        """Create the tables that a recorder needs, if they do not exist."""
        self.expect(statements)
        with self.write() as connection:
            for statement in statements:
                connection.execute(statement)

    def overwrite_what_is_deleted(self) -> None:
        """From now on, overwrite deleted data with zeros in the file."""
        with AFTERWARDS, self._lock, self._translated():
            self._overwrites = True
            if self._connection is not None:
                self._connection.execute(_OVERWRITES)

    def truncate_wal(self, timeout_s: float) -> bool:
        """Write the WAL back into the file, sync the file, and empty the WAL.

        Returns False if another process kept the file busy until the timeout.
        """
        with AFTERWARDS, self._turn(), self._lock, self._translated():
            connection = self._open()
            with self._waiting(connection, timeout_s):
                row = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        was_busy: int = row[0]
        return not was_busy

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that read; other threads wait, but not for a turn."""
        self._renew_wal()
        with AFTERWARDS, self._lock, self._translated():
            connection = self._open()
            self._check()
            self._guard.begin(writes=False)
            yield connection

    @contextmanager
    def write(self, *, fenced: bool = False) -> Iterator[sqlite3.Connection]:
        """A write transaction: this process's turn in the queue, BEGIN IMMEDIATE, COMMIT, sync.

        Of a `fenced` log only its copying and moving.
        If the block or the commit raises, nothing is stored, and that exception survives. Raises
        Interrupting within a block of the same thread, also one of `read`.
        """
        if interruptions.is_owned(self._lock):
            raise Interrupting
        with AFTERWARDS, self._turn(), self._lock, self._translated():
            connection = self._open_to_write()
            if connection.in_transaction:  # An exception ended it between two lines.
                self._roll_back(connection)
                connection = self._open_to_write()
            self._check(writes=True)  # Here: the turn may have come late.
            if self._leave_removed_wal():
                connection = self._open_to_write()
            try:
                self._guard.begin(writes=True)
                # Inside: an interrupt during SQLite's wait is raised after the BEGIN.
                self._begin(connection)
                self._check_version(connection, FENCED if fenced else self.known_version)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise

    def go_on(self) -> None:
        """Call between the parts of a long transaction, each of which may take as much work as one.

        Otherwise it is taken for one that does not end.
        """
        self._guard.begin(writes=True)

    @contextmanager
    def apart(self) -> Iterator[Database]:
        """The same file through another connection, so that reads of this one do not wait for it.

        For the time of the block. A database in memory has one connection only: this one.
        """
        if self._in_memory:
            yield self
            return
        with self.read() as connection:
            file, last = self._file, _last_of(connection)
        assert file is not None, "a file is held as long as it is open"
        other = Database(
            file.path,
            lock_timeout_s=self.lock_timeout_s,
            known_version=self.known_version,
            private=self._private,
        )
        other._file, other._last = file, last
        other._guard.known = self._guard.known
        other._overwrites = self._overwrites
        try:
            yield other
        finally:
            other.close()

    @property
    def may_write(self) -> bool:
        """Whether this user may write to the file: it may be somebody else's."""
        file = self._file
        return file is None or os.access(str(file.path), os.W_OK, effective_ids=True)

    def stuck_writer(self) -> str | None:
        """As `EventLog.stuck_writer`."""
        holder = self._turns.stuck()
        return None if holder is None else str(holder)

    def sync(self) -> None:
        """Put on disk all commits so far, of any program and with any settings.

        A commit of ours is synced before anybody sees it. A commit of a program that has set SQLite
        to sync less is not; but SQLite syncs the WAL before it copies from it, and syncs the copied
        pages before the WAL starts again. Raises LogBusy, LogReadOnly.
        """
        if self._in_memory:
            return
        with AFTERWARDS, self._turn(), self._lock, self._translated():
            # In our turn: writers checkpoint now and then as well.
            (busy, *_) = self._open_to_write().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if busy:
                raise LogBusy(
                    f"{self.name} is being copied from its WAL by another process; nothing was "
                    "synced, try again"
                )

    def close(self) -> None:
        """Close the connection and let go of the folder; the next use opens what is there then."""
        try:
            self._renew_wal()
        finally:
            with AFTERWARDS, self._lock:
                self._disconnect()
                self._file = None
                self._last = None

    def _disconnect(self) -> None:
        """Close the connection; the next use opens the same file again."""
        self._forget_parent()
        connection, self._connection = self._connection, None
        if connection is not None:
            self._last = _last_of(connection) or self._last
            # If the file is not where it was, SQLite leaves -wal and -shm alone, also those that
            # another log has at that path.
            if self._wal is None:
                connection.close()
            else:
                self._wal.close(connection)
                self._wal = None
        self._frozen = None
        self._queue = None  # Closed with its last user: a thread may be waiting in it.

    def _let_go(self) -> None:
        """Close the connection, unless a transaction needs it."""
        connection = self._connection
        if connection is not None and not connection.in_transaction and not self._in_memory:
            self._disconnect()

    def let_go_of(self, file: tuple[int, int]) -> None:
        """Close the connection to a file if it is not in its place any more."""
        # One that is not open stays so, as this thread connects; its own may wait for that.
        if self.has_open(file) and self._lock.acquire(timeout=_PATIENCE_S):
            try:
                if self._file is not None and self._file.identity == file:
                    with suppress(FolderMoved):
                        self._check()
                    if self._wal is not None and not self._wal.is_there:
                        self._let_go()
            finally:
                self._lock.release()

    def has_open(self, file: tuple[int, int] | None) -> bool:
        """Whether a connection to this file is open."""
        own = self._file
        return self._connection is not None and own is not None and own.identity == file

    def before_fork(self) -> None:
        with suppress(RunloreError):
            self._renew_wal()
        self._turns.hold_up()
        self._lock.acquire()
        if not self._in_memory:
            self._disconnect()

    def after_fork_in_parent(self) -> None:
        self._lock.release()
        self._turns.go_on()

    def after_fork_in_child(self) -> None:
        self._lock = interruptions.new_lock(self)
        self._turns.forget_parent()
        if self._in_memory:
            self._pid = os.getpid()  # The child continues with a copy.
        else:
            self._forget_parent()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if self._guard.has_refused:
                self._let_go()  # The next connection looks at what the file defines.
            raise self._guard.translated(error) from error
        except UnicodeDecodeError as error:  # From SQLite's message, which quotes damaged bytes.
            raise LogCorrupt(f"{self.name} is damaged: {error}; restore it from a copy") from error

    def _turn(self) -> AbstractContextManager[None]:
        with self._lock:
            self._forget_parent()
        return self._turns.turn(self._queue_to_write, self.lock_timeout_s)

    def _making_turn(self) -> AbstractContextManager[None]:
        return self._turns.making(self._queue, self.lock_timeout_s)

    @contextmanager
    def _waiting(self, connection: sqlite3.Connection, timeout_s: float) -> Iterator[None]:
        """Let SQLite wait this long for programs that do not stand in the queue."""
        connection.execute(f"PRAGMA busy_timeout={_milliseconds(timeout_s)}")
        try:
            yield
        finally:
            connection.execute(f"PRAGMA busy_timeout={_milliseconds(self.lock_timeout_s)}")

    def _begin(self, connection: sqlite3.Connection) -> None:
        wait_s = longest_wait_s(self.lock_timeout_s)
        if wait_s == self.lock_timeout_s:
            connection.execute("BEGIN IMMEDIATE")
            return
        with self._waiting(connection, wait_s):
            connection.execute("BEGIN IMMEDIATE")

    def _queue_to_write(self) -> WriteQueue | None:
        with self._lock, self._translated():
            self._open_to_write()
            return self._queue

    def _open_to_write(self) -> sqlite3.Connection:
        connection = self._open()
        if self.read_only:  # Somebody may have given the right to write since.
            self._disconnect()
            connection = self._open()
        if self.read_only:
            raise LogReadOnly(
                f"{self.name} was opened for reading only, because {self._why_read_only}"
            )
        return connection

    def _check_version(self, connection: sqlite3.Connection, known_version: int) -> None:
        self.version = version_of(connection)
        if self.version > known_version:
            fence, keyless = fence_of(connection), is_erasable(connection)
            raise too_new(self.name, self.version, known_version, fence, keyless=keyless)

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        if not connection.in_transaction:  # A full disk may have rolled back already.
            return
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            # The first error must survive; a new connection starts from the file.
            self._connection = None
            connection.close()

    def _check(self, *, writes: bool = False) -> None:
        """Raise FolderMoved if the log is not where it was opened."""
        if self._file is not None:
            try:
                if writes:
                    self._file.check_before_write()
                else:
                    self._file.check()
            except FolderMoved:
                self._let_go()
                raise

    def _renew_wal(self) -> None:
        """If the WAL was removed, write back what is in it; the next use makes another one."""
        wal = self._wal
        if wal is None or wal.is_there or self._pid != os.getpid():
            return
        with self._lock:
            self._check()
            if self.read_only:  # Until a process that may write has done so, it shows all.
                if wal.is_empty:
                    self._let_go()
                return
        with self._turn(), self._lock, self._translated():
            self._leave_removed_wal()

    def _leave_removed_wal(self) -> bool:
        """Close a connection whose WAL was removed, and say so.

        Call it in the writers' turn, with the lock.
        """
        wal, connection = self._wal, self._connection
        if wal is None or wal.is_there or connection is None or connection.in_transaction:
            return False
        with self._waiting(connection, _PATIENCE_S):
            wal.write_back(connection)
        self._disconnect()
        self._has_written_back = True
        return True

    def _open(self) -> sqlite3.Connection:
        self._forget_parent()
        if self._frozen is not None and self._frozen != self._fingerprint():
            self._disconnect()  # Somebody with the right to write has written.
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _fingerprint(self) -> tuple[int, ...]:
        self._check()
        assert self._file is not None, "only files are frozen"
        return self._file.fingerprint()

    def _forget_parent(self) -> None:
        """After a fork that bypassed our hooks: never use or close the parent's connection."""
        if self._pid != os.getpid():
            if self._connection is not None:
                _abandoned.append(self._connection)
            self._connection = None
            self._queue = None
            self._turns.forget_parent()
            self._pid = os.getpid()

    def _connect(self) -> sqlite3.Connection:
        if self._in_memory:
            connection = self._connected(self.name)
            self._prepare(connection)
            return connection
        try:
            with _connecting:
                if self._file is not None:
                    self._connection = self._connect_to(self._file)
                else:
                    file = LogFile(self._path, private=self._private)
                    self._connection = self._connect_first(file)
                return self._connection
        except RunloreError:
            raise
        except OSError as error:
            raise from_os(error, self.name) from error

    def _connect_first(self, file: LogFile) -> sqlite3.Connection:
        try:
            try:
                connection = self._connect_to(file)
            except LogReplaced:  # A layered file system may move it when it is opened for writing.
                connection = self._connect_to(file)
        except BaseException:
            file.let_go()  # Tracebacks may keep the objects.
            raise
        self._file = file
        return connection

    def _connect_to(self, file: LogFile) -> sqlite3.Connection:
        self._guard.file = file
        file.check()
        file.examine()
        _let_go_of_moved(file)
        self._why_read_only = file.why_read_only()
        self.read_only = self._why_read_only is not None
        self._check_left_wal(file)
        if not self.read_only:
            self._queue = WriteQueue(file.beside("-queue"))
            if file.identity is None:
                file.make()
        found = file.identity
        with file.name() as name:
            connection = self._connected(self._target(file, name))
            try:
                self._guard.check(connection)
                if not self.read_only:
                    self._switch_to_wal(connection)
                    self._prepare(connection)
                file.check()
                if file.identity != found:  # It was replaced in the meantime.
                    raise LogReplaced(file.path)
                self._recognize(connection, file)
                self._wal = OpenWal(file.path) if self._frozen is None else None
            except BaseException:
                connection.close()
                raise
        file.settle()
        return connection

    def _check_left_wal(self, file: LogFile) -> None:
        """Raise WalRemoved or ForeignWal if the file cannot be read as it and its WAL are.

        A process that has the file open knows, and must not open and close it once more.
        """
        identity = file.identity
        if any(other.has_open(identity) for other in _all_databases()):
            return
        if not self._has_written_back:  # Else others may still have open what was removed.
            check_wal_is_there(file.path)
        self._has_written_back = False
        if self._file is None and file.has_wal():
            with file.name() as name:
                left_wal.check(file, f"file:{quote(os.fsencode(name))}", self._guarded)

    def _guarded(self, target: str) -> sqlite3.Connection:
        """A connection to a file that defines nothing but what a log does."""
        connection = self._connected(target)
        try:
            self._guard.check(connection)
            self._guard.begin(writes=False)
        except BaseException:
            connection.close()
            raise
        return connection

    def _target(self, file: LogFile, name: str) -> str:
        uri = f"file:{quote(os.fsencode(name))}"
        if not self.read_only:
            return f"{uri}?mode=rw"
        # While a writer is there, the file is read through its shared memory. Otherwise, without
        # the right to create that, SQLite must be told that nobody changes the file: so we check.
        self._frozen = None if file.is_in_use() else file.fingerprint()
        return f"{uri}?mode=ro" if self._frozen is None else f"{uri}?mode=ro&immutable=1"

    def _recognize(self, connection: sqlite3.Connection, file: LogFile) -> None:
        """Raise LogReplaced unless the log still has the last event that it had."""
        if self._last is not None and not _holds(connection, self._last):
            raise LogReplaced(file.path)

    def _connected(self, target: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            target,
            uri=target.startswith("file:"),
            isolation_level=None,
            check_same_thread=False,
            timeout=self.lock_timeout_s,
        )
        try:
            self._guard.protect(connection)
            connection.execute(_PAGE_SIZE)
        except BaseException:
            connection.close()
            raise
        return connection

    def _switch_to_wal(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            return
        with self._making_turn():  # Two processes cannot switch to WAL at the same time.
            if not connection.execute("PRAGMA page_count").fetchone()[0]:
                # There is nothing to roll back to, so others need not find a journal.
                connection.execute("PRAGMA journal_mode=MEMORY")
            connection.execute("PRAGMA journal_mode=WAL")

    def _prepare(self, connection: sqlite3.Connection) -> None:
        for setting in (*_SETTINGS, *[_OVERWRITES] * self._overwrites):
            connection.execute(setting)
        if not (version_of(connection) and _application_of(connection)):
            with self._making_turn():
                connection.execute("BEGIN IMMEDIATE")  # Both or none, wherever the machine stops.
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                if not version_of(connection):  # Another process may have been faster.
                    connection.execute("PRAGMA user_version=1")
                connection.execute("COMMIT")


def _milliseconds(seconds: float) -> int:
    return int(1_000 * min(seconds, _LONG_S))


def _application_of(connection: sqlite3.Connection) -> int:
    application_id: int = connection.execute("PRAGMA application_id").fetchone()[0]
    return application_id


def _last_of(connection: sqlite3.Connection) -> tuple[int, bytes] | None:
    """Position and leaf of a log's last event; None if there is none, or it cannot be read."""
    if connection.in_transaction:  # It may be rolled back.
        return None
    try:
        last: tuple[int, bytes] | None = connection.execute(
            "SELECT notification_id, leaf FROM stored_events ORDER BY notification_id DESC LIMIT 1"
        ).fetchone()
    except sqlite3.Error:
        return None
    return last


def _holds(connection: sqlite3.Connection, last: tuple[int, bytes]) -> bool:
    found = connection.execute("SELECT leaf FROM stored_events WHERE notification_id = ?", last[:1])
    return bool(found.fetchone() == last[1:])


def _let_go_of_moved(file: LogFile) -> None:
    """Close the connections of this process to the file that were opened at another place.

    SQLite shares the file's -shm between them, and removes it by the path of the first one, where
    another log may be now.
    """
    identity = file.identity
    if identity is not None:
        for other in _all_databases():
            other.let_go_of(identity)


def _all_databases() -> list[Database]:
    while True:
        try:
            return list(_databases)
        except RuntimeError:  # Another thread has just made one.
            continue


_databases: Final[WeakSet[Database]] = WeakSet()
# A connection is made by one thread at a time, which looks whether there is another to the file.
# Only while a database's own lock is held: so no thread has it when the process forks.
_connecting: Final = threading.RLock()
_abandoned: Final[list[sqlite3.Connection]] = []


def _in_memory(name: str) -> bool:
    if not name.startswith("file:"):
        return name == ":memory:"
    return _uri_path(name).name == ":memory:" or "mode=memory" in urlsplit(name).query


def _path_of(name: str) -> Path:
    if not name.startswith("file:"):
        return Path(name)
    if urlsplit(name).query and not _in_memory(name):
        raise InvalidInput(f"cannot open {name!r:.200}: the URI of a log's file takes no options")
    return _uri_path(name)


def _uri_path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))
