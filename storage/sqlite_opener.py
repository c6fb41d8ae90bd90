"""Logs in folders of this machine: where they are, and how they are opened."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from runlore.domain.errors import InvalidInput
from runlore.storage.log_opener import LOG_NAME, LogLocation, LogOpener

if TYPE_CHECKING:
    from runlore.storage.event_log import EventLog


class SqliteOpener(LogOpener):
    """One SQLite file in the workspace's folder, `sqlite:///absolute/folder`."""

    def locate(self, uri: str) -> LogLocation:
        parts = urlsplit(uri)
        if parts.netloc or parts.query or parts.fragment:
            raise InvalidInput(
                f"cannot open {uri!r}: it must be sqlite:///absolute/folder, with ? as %3F and "
                "# as %23"
            )
        return folder_location(Path(unquote(parts.path, errors="surrogateescape")))

    def exists(self, location: LogLocation) -> bool:
        try:
            os.lstat(_file(location))  # Whatever it is: what is no plain file is refused by `open`.
            return True
        except PermissionError:  # There may be one.
            raise
        except (OSError, ValueError):  # Nothing is there, or a name is too long.
            return False

    def identity(self, location: LogLocation) -> Hashable | None:
        """Device and inode of the folder and of the log's file.

        Of both: a backup of hard links shares the file, but not the WAL beside it.
        """
        try:
            folder, file = os.stat(_file(location).parent), os.lstat(_file(location))
        except (OSError, ValueError):
            return None
        return folder.st_dev, folder.st_ino, file.st_dev, file.st_ino

    def open(self, location: LogLocation, *, erasable: bool) -> EventLog:
        # Imported here: paths are looked at without opening a log, and drivers take long to import.
        from runlore.storage.open_sqlite import open_sqlite

        return open_sqlite(_file(location), erasable=erasable)


def folder_location(folder: Path) -> LogLocation:
    """The location of a folder's log.

    >>> folder_location(Path("/data/my lab")).uri
    'sqlite:///data/my%20lab'
    """
    try:
        path = os.fsencode(folder)
    except UnicodeEncodeError as error:
        found = f"it holds {error.object[error.start]!r}, which no path can"
        raise InvalidInput(f"{str(folder)!r:.80} cannot be a path: {found}") from error
    if b"\0" in path:
        raise InvalidInput(f"{str(folder)!r:.80} cannot be a path: it holds a null character")
    return LogLocation(
        "sqlite://" + quote(os.fsencode(os.path.realpath(folder))),
        folder.absolute(),
        folder.name,
    )


def _file(location: LogLocation) -> Path:
    assert location.folder is not None, "a log in SQLite is in a folder"
    return location.folder / LOG_NAME
