"""Opening a workspace's log: in a folder, or wherever the scheme of a URI says.

Other packages bring openers by entry points in the group `runlore.recorders`; see `LogOpener`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from runlore.domain.errors import InvalidInput, InvalidType
from runlore.storage.log_opener import LogLocation, LogOpener, Rights
from runlore.storage.sqlite_opener import SqliteOpener, folder_location

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

    from runlore.storage.event_log import EventLog

ENTRY_POINTS: Final = "runlore.recorders"

_IN_FOLDERS: Final = "sqlite"
# Found as those of other packages are: few processes need them.
_OWN: Final = dict.fromkeys(
    ("postgresql", "postgres"), "runlore.storage.postgresql.opener:PostgresOpener"
)

_PASSWORDS: Final = frozenset(
    {
        *("password", "passwd", "pwd", "pgpassword", "sslpassword"),
        *("scram_client_key", "scram_server_key", "oauth_client_secret"),
    }
)
# A URI that a `Path` took the second slash from; and libpq's other form of an address.
_NO_FOLDER: Final = re.compile(
    r"postgres(ql)?:.*|(?=.*\b(host|hostaddr|dbname|user|service) *=).*\bpassword *=.*", re.DOTALL
)


def locate(path_or_uri: str | os.PathLike[str]) -> LogLocation:
    """The location that a folder's path or a URI means; nothing has to exist there yet.

    >>> locate("sqlite:///data/lab").folder.as_posix()
    '/data/lab'

    Raises InvalidInput for a scheme that no installed package opens, and for a URI with a
    password.
    """
    if not isinstance(path_or_uri, str | os.PathLike):
        raise InvalidType(f"a workspace's path must be a str or a path, got {path_or_uri!r:.80}")
    text = os.fspath(path_or_uri)
    refuse_password(text)
    if "://" not in text:
        return folder_location(Path(os.path.expanduser(text)))  # Unknown users stay.
    return _opener(text).locate(text)


def exists(location: LogLocation) -> bool:
    """Whether there is a log at the location."""
    return _opener(location.uri).exists(location)


def identity(location: LogLocation) -> Hashable | None:
    """A key of the log at the location, of that log and no other; None if there is no log."""
    return _opener(location.uri).identity(location)


def open_log(location: LogLocation, *, erasable: bool = False) -> EventLog:
    """The log at the location, created if it does not exist; a folder must exist.

    `erasable` chooses the kind of a new log; an existing one keeps its kind.
    """
    return _opener(location.uri).open(location, erasable=erasable)


def grant(location: LogLocation, role: str, rights: Rights) -> None:
    """Give a role of the log's server these rights; raises as `LogOpener.grant` does."""
    _opener(location.uri).grant(location, role, rights)


def _opener(uri: str) -> LogOpener:
    scheme = uri.partition("://")[0].lower()
    if scheme == _IN_FOLDERS:
        return SqliteOpener()
    if scheme in _OWN:
        module, _, name = _OWN[scheme].partition(":")
        opener: type[LogOpener] = getattr(import_module(module), name)
        return opener()
    for entry in _entry_points().select(name=scheme):
        return _loaded(entry)
    raise InvalidInput(f"cannot open {uri!r}: {_why_unknown(scheme)}")


def _entry_points() -> EntryPoints:
    from importlib.metadata import entry_points  # Imported here: folders need none.

    return entry_points(group=ENTRY_POINTS)


def _loaded(entry: EntryPoint) -> LogOpener:
    try:
        opener: type[LogOpener] = entry.load()
    except ImportError as error:
        package = entry.dist.name if entry.dist else entry.module
        raise InvalidInput(
            f"cannot open a {entry.name}:// log: its opener {entry.value} needs a package that is "
            f"missing ({error}); install {package} again, with its extras"
        ) from error
    return opener()


def _why_unknown(scheme: str) -> str:
    brought = _entry_points().names
    known = ", ".join(f"{name}://" for name in sorted({_IN_FOLDERS, *_OWN, *brought}))
    return (
        f"no opener for {scheme}:// is installed; runlore opens folders and URIs that begin "
        f"with {known}"
    )


def refuse_password(address: str) -> None:
    """Raise InvalidInput for a path or URI that holds a password, without repeating it.

    Also for a server's address that looks like a path: messages repeat paths, and log files keep
    messages.
    """
    if "://" in address:
        _refuse_in_uri(address)
    elif _NO_FOLDER.fullmatch(address):
        raise InvalidInput(
            "the workspace's address looks like that of a PostgreSQL server; write it as a text, "
            "postgresql://host/database?schema=team, without a password"
        )


def _refuse_in_uri(uri: str) -> None:
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise InvalidInput("the workspace's URI is malformed: check its host part") from None
    keys = {key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
    # A password with a slash, ? or # in it ends the host's part too early.
    is_cut = ":" in parts.netloc and "@" not in parts.netloc and "@" in parts.path + parts.fragment
    in_name = ":" in unquote(parts.username or "")
    if parts.password is not None or keys & _PASSWORDS or is_cut or in_name:
        raise InvalidInput(
            f"the workspace's {parts.scheme}:// URI holds a password; a URI is written into "
            "config files, the environment of scripts and messages, where others can read it. "
            "Remove the password from the URI and keep it where only you can read it, such as "
            "~/.pgpass for PostgreSQL"
        )
