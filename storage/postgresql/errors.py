"""Errors of PostgreSQL, as those of `runlore.storage.errors`. Only this module translates them.

None repeats a password: libpq's messages have none, and neither do our URIs.
"""

from __future__ import annotations

import re
from typing import Final

import psycopg
from psycopg.errors import UniqueViolation

from runlore.domain.errors import InvalidInput, MomentInFuture, UserError
from runlore.storage import driver_errors
from runlore.storage.driver_errors import DriverError
from runlore.storage.errors import (
    DiskFull,
    LogBusy,
    LogCorrupt,
    LogReadOnly,
    LogTooNew,
    LogUnavailable,
    NotALog,
    VersionConflict,
)


class ServerAway(LogUnavailable):
    """The server cannot be reached, or it broke off; a change may or may not be stored.

    Changes are repeated, which stores none twice.
    """


class ServerRefused(UserError, LogUnavailable):
    """The server does not let this user in, or knows no such database."""


_AWAY: Final = (
    "08",  # connection exceptions
    "57P01",  # the server was told to stop
    "57P02",  # a crash of another of its processes
    "57P03",  # it starts, or stops
    "57P04",
    "25P03",  # cut off as it held the lock for too long
    "25P04",
    "53300",  # too many connections
    "53400",
)
_BUSY: Final = ("55P03", "57014", "40P01", "40001")
_REFUSED: Final = ("28", "3D000")
_ADVICE_ON_USER: Final = (
    "check user and database, and the password in PGPASSFILE or ~/.pgpass (a file that only you "
    "can read) or in PGSERVICEFILE"
)
_REFUSALS: Final = (
    (
        re.compile(
            "authentication failed|no password supplied|no pg_hba.conf entry|definition of service"
            '|(role|database) ".*" does not exist'
        ),
        _ADVICE_ON_USER,
    ),
    (
        re.compile(
            "permission denied for database|is not permitted to log in"
            "|is not currently accepting connections"
        ),
        "let the administrator of the server allow it",
    ),
    (
        re.compile(
            "invalid port number|invalid integer value|mode value|SSL negotiation|SSL was required"
            "|certificate|private key file|method requirement|channel binding required"
            "|configuration parameter|invalid value for parameter|unsupported startup parameter"
        ),
        "correct the settings of the URI, of your service file, or of the server",
    ),
)
_FORBIDDEN: Final = ("42501",)
_READ_ONLY: Final = ("25006",)
_MISSING: Final = ("3F000", "42P01", "42883", "42703")
_NO_ROOM: Final = ("53100", "53200")

_CLASSES: Final[tuple[tuple[type[psycopg.Error], type[DriverError]], ...]] = (
    (psycopg.InterfaceError, driver_errors.InterfaceError),
    (psycopg.DataError, driver_errors.DataError),
    (psycopg.OperationalError, driver_errors.OperationalError),
    (psycopg.IntegrityError, driver_errors.IntegrityError),
    (psycopg.InternalError, driver_errors.InternalError),
    (psycopg.ProgrammingError, driver_errors.ProgrammingError),
    (psycopg.NotSupportedError, driver_errors.NotSupportedError),
    (psycopg.DatabaseError, driver_errors.DatabaseError),
)

OTHER_ISOLATION: Final = "RL003"
"""The function's refusal of another isolation level than READ COMMITTED."""

_NO_TEXT: Final = "22021"
_TOO_NEW: Final = "RL001"
_IN_FUTURE: Final = "RL002"
_NOT_YOURS: Final = "RL006"
_SETTINGS: Final = {
    "RL004": (
        "the setting synchronous_commit of this role or database is off, so the server would "
        "promise what it may lose; set it to on"
    ),
    "RL005": "the server's function refused the events, as they are malformed",
}


def from_psycopg(error: psycopg.Error, name: str) -> Exception:
    """Our error for one of the driver; `name` is the log's, for people."""
    code = error.sqlstate or ""
    told = first_line(error)
    numbers = [int(one) for one in (error.diag.message_detail or "").split() if one.isdigit()]
    if code == _TOO_NEW and len(numbers) == 2:
        return LogTooNew(name, *numbers)
    if code == _IN_FUTURE and len(numbers) == 2:
        return MomentInFuture(*numbers)
    if isinstance(error, UniqueViolation):
        return _conflict(error, name)
    advice = _refusal(code, told)
    if advice is not None:
        return ServerRefused(f"cannot open {name}: {told}; {advice}")
    if code.startswith(_AWAY) or (not code and isinstance(error, psycopg.OperationalError)):
        return ServerAway(f"the server of {name} cannot be reached: {told}")
    if code.startswith(_BUSY):
        return LogBusy(
            f"could not write to {name}: other writers held its lock until the timeout ({told}); "
            "nothing was stored, try again or raise the timeout"
        )
    if code == _NOT_YOURS:
        return LogReadOnly(f"could not write to {name}: {told}")
    if code.startswith(_FORBIDDEN):
        return LogReadOnly(
            f"this user may not do that in {name}: {told}; the owner of the schema gives rights "
            "by `runlore workspace grant`"
        )
    if code.startswith(_READ_ONLY):
        return LogReadOnly(
            f"{name} cannot be written: {told}; this server is a standby, or "
            "default_transaction_read_only is on for this role or database"
        )
    if code.startswith(_NO_ROOM):
        return DiskFull(
            f"could not write to {name}: the server has no room ({told}); nothing was stored, "
            "free space there and try again"
        )
    if code == _NO_TEXT:
        return InvalidInput(
            f"{name} takes no name with a zero byte ({told}); nothing was stored, leave it out"
        )
    if code.startswith(_MISSING):
        return NotALog(
            f"{name} is not a log of this runlore: {told}; name another schema, or create a "
            "workspace in one that is new"
        )
    if code in _SETTINGS:
        return driver_errors.ProgrammingError(f"could not write to {name}: {_SETTINGS[code]}")
    for kind, ours in _CLASSES:
        if isinstance(error, kind):
            return ours(f"{name}: {told}")
    return DriverError(f"{name}: {told}")


def _conflict(error: UniqueViolation, name: str) -> Exception:
    if error.diag.constraint_name == "stored_events_position":
        return LogCorrupt(
            f"{name} holds events after its head, so somebody wrote to its tables by another way; "
            "run `runlore audit verify` before you log more"
        )
    return VersionConflict(
        "another event holds one of the versions of these events; read the stream again and "
        "decide again"
    )


def _refusal(code: str, told: str) -> str | None:
    """What to do about a refusal that no wait ends; None if it is something else.

    libpq gives no code where a connection fails, so it is known by its text, which is English
    unless the server's `lc_messages` is not.
    """
    if code.startswith(_REFUSED):
        return _ADVICE_ON_USER
    if not code:
        for texts, advice in _REFUSALS:
            if texts.search(told):
                return advice
    return None


def first_line(error: psycopg.Error) -> str:
    """What happened, in a line."""
    text = error.diag.message_primary or str(error)
    return " ".join(text.split())[:500]
