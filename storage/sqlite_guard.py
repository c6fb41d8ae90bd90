"""What a connection to a log in SQLite may do, whatever stands in the file.

A log may come from somebody else. Before it is read, all that it defines is compared with what
runlore defines; from then on no trigger and no view is obeyed, should another process add one; and
a query that does not end, as in a file whose pages lead in circles, is ended.
"""

from __future__ import annotations

import sqlite3
import sys
from typing import Final

from runlore.storage.errors import LogCorrupt, NotALog, from_sqlite
from runlore.storage.log_file import LogFile
from runlore.storage.sqlite_schema import NAMES, Defined, plain, stranger_in

APPLICATION_ID: Final = 0x726C6F67  # "rlog", where `file` and we look for whose file this is.

_SETTINGS: Final = (
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    "PRAGMA mmap_size=0",  # Somebody may shorten the file.
)
_LIMITS: Final = (
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 100),
    (sqlite3.SQLITE_LIMIT_COLUMN, 100),
    (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
)
_NBYTES_MAX: Final = 1 << 29  # Of one payload.
_NBYTES_OF_DEFINITION_MAX: Final = 50_000
_DEFINITIONS_MAX: Final = 100

_STEP: Final = 100_000
"""How many operations of SQLite's machine pass before it is asked whether it should go on."""

_STEPS_OF_DEFINITIONS: Final = (500, 10)
_OPERATIONS: Final = 2_000_000
_OPERATIONS_A_BYTE: Final = 2  # An event takes 150 bytes at least, and less than 60 operations.
_OPERATIONS_OF_WRITING: Final = 2_000_000_000  # Events take about 60, and many may come at once.

_FORBIDDEN: Final = frozenset(
    {
        sqlite3.SQLITE_ATTACH,
        sqlite3.SQLITE_DETACH,
        sqlite3.SQLITE_CREATE_TRIGGER,
        sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
        sqlite3.SQLITE_CREATE_VIEW,
        sqlite3.SQLITE_CREATE_TEMP_VIEW,
        sqlite3.SQLITE_CREATE_VTABLE,
    }
)
_KINDS: Final = frozenset({"table", "index", "trigger", "view"})


class Guard:
    """Guards the connections to one log, one after another.

    `name` is for messages, and `file` is that of the log, if it has one. `known` holds the
    statements of other recorders than those of the log; see `stranger_in`.
    """

    def __init__(self, name: str) -> None:
        self.known: set[str] = set()
        self.file: LogFile | None = None
        self._name = name
        self._spent = 0
        self._allowed: int | None = None
        self._refused_one: str | None = None
        self._raised: BaseException | None = None

    def protect(self, connection: sqlite3.Connection) -> None:
        """Restrict a connection on which no statement was executed yet."""
        for limit, value in _LIMITS:
            connection.setlimit(limit, value)
        if sys.version_info >= (3, 12):
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        if hasattr(connection, "enable_load_extension"):
            connection.enable_load_extension(False)
        for setting in _SETTINGS:
            connection.execute(setting)
        connection.set_authorizer(self._authorize)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _NBYTES_MAX)
        connection.set_progress_handler(self._spend, _STEP)

    def begin(self, *, writes: bool) -> None:
        """Call before each use of the connection: its work is bounded by the size of the log."""
        self._spent = 0
        self._allowed = _OPERATIONS_OF_WRITING if writes else None

    def check(self, connection: sqlite3.Connection) -> None:
        """Raise NotALog unless the file is a log, or empty, and defines nothing but a log's tables.

        LogCorrupt if it cannot be one. Nothing that the file defines was used before.
        """
        step, steps = _STEPS_OF_DEFINITIONS
        self._spent, self._allowed, self._refused_one = 0, steps * _STEP, None
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _NBYTES_OF_DEFINITION_MAX)
        connection.set_progress_handler(self._spend, step)
        try:
            self._check(connection)
        except sqlite3.Error as error:
            if self._raised is not None:
                raise
            if _code(error) in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_TOOBIG):
                raise self._too_much() from error
            if _code(error) == sqlite3.SQLITE_ERROR:
                raise NotALog(
                    f"{self._name} is not a runlore log: {error}; choose another folder or name"
                ) from error
            raise
        finally:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _NBYTES_MAX)
            connection.set_progress_handler(self._spend, _STEP)

    @property
    def has_refused(self) -> bool:
        """Whether a trigger or a view wanted something since the last check."""
        return self._refused_one is not None

    def translated(self, error: sqlite3.Error) -> BaseException:
        """Our error for one of the driver, or what a signal handler has raised in its callbacks."""
        if self._raised is not None:
            raised, self._raised = self._raised, None
            return raised
        if self._refused_one is not None:
            return NotALog(
                f"{self._name} was given {self._refused_one} while it was open, which no log has: "
                "nothing was read or stored; drop it with the sqlite3 shell"
            )
        return from_sqlite(error, self._name, None if self.file is None else self.file.path)

    def _check(self, connection: sqlite3.Connection) -> None:
        # In this order: another process may be creating the log, the id first and then the tables.
        defined = _definitions(connection)
        application_id = connection.execute("PRAGMA application_id").fetchone()[0]
        if application_id not in (0, APPLICATION_ID) or (application_id == 0 and defined):
            raise NotALog(
                f"{self._name} is a SQLite file of another application (application id "
                f"{application_id:#x}, {len(defined)} tables); choose another folder or name"
            )
        if len(defined) > _DEFINITIONS_MAX:
            raise self._too_much()
        stranger = stranger_in(defined, self.known)
        if stranger is not None:
            raise self._refused(stranger)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version < 0:
            raise LogCorrupt(f"{self._name} says that it has version {version}; restore a copy")

    def _refused(self, stranger: Defined) -> NotALog:
        kind = stranger.kind if stranger.kind in _KINDS else "object"
        what = f"{self._name} defines the {kind} {stranger.name!r:.100}"
        why = "it could change or hide what is recorded, so nothing was read"
        if stranger.name in NAMES:
            return NotALog(
                f"{what} otherwise than a log of runlore does; {why}; restore the log from a copy"
            )
        return NotALog(
            f"{what}, which a log of runlore does not have; {why}; drop that {kind} with the "
            "sqlite3 shell if the log is yours, else use a copy that you trust"
        )

    def _too_much(self) -> NotALog:
        return NotALog(
            f"{self._name} defines more than a log of runlore does, so nothing was read; use a "
            "copy that you trust"
        )

    # SQLite calls the next two, and makes an error of its own of what is raised there. A handler of
    # a signal may raise at any line: that is kept, and raised when SQLite has given up.

    def _authorize(self, action: int, *names: str | None) -> int:
        try:
            return self._verdict(action, names[-1])
        except BaseException as error:
            self._raised = error
            return sqlite3.SQLITE_DENY

    def _spend(self) -> bool:
        try:
            return self._has_spent_all()
        except BaseException as error:
            self._raised = error
            return True

    def _verdict(self, action: int, source: str | None) -> int:
        if source is not None:  # The trigger or view that wants it.
            self._refused_one = f"the trigger or view {source!r:.100}"
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_DENY if action in _FORBIDDEN else sqlite3.SQLITE_OK

    def _has_spent_all(self) -> bool:
        self._spent += _STEP
        if self._allowed is None:
            self._allowed = _OPERATIONS + _OPERATIONS_A_BYTE * (
                0 if self.file is None else self.file.nbytes()
            )
        return self._spent > self._allowed


def _definitions(connection: sqlite3.Connection) -> list[Defined]:
    """What the file defines, up to one more than a log may."""
    connection.text_factory = _text
    try:
        rows = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema LIMIT ?", (_DEFINITIONS_MAX + 1,)
        ).fetchall()
    finally:
        connection.text_factory = str
    return [_defined(*row) for row in rows]


def _defined(kind: object, name: object, table: object, sql: object) -> Defined:
    return Defined(str(kind), str(name), str(table), None if sql is None else plain(str(sql)))


def _text(text: bytes) -> str:
    return text.decode(errors="surrogateescape")


def _code(error: sqlite3.Error) -> int | None:
    return getattr(error, "sqlite_errorcode", None)
