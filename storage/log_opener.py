"""The contract of log openers: one for each scheme of URIs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runlore.domain.errors import InvalidInput

if TYPE_CHECKING:
    from runlore.storage.event_log import EventLog
    from runlore.storage.held_path import HeldPath

LOG_NAME: Final = "log.sqlite"
"""The log's file in a workspace's folder; a folder with this file in it is a workspace."""

HOST_NAME: Final = "host.json"
"""The file that says which log elsewhere a folder of this machine belongs to."""


def file_of_log(folder: HeldPath) -> HeldPath:
    """The file that makes a folder the one of a log: the log's own, or `HOST_NAME`."""
    own = folder / LOG_NAME
    return own if own.exists() else folder / HOST_NAME


class Rights(StrEnum):
    """The rights that a role of a server can have in a log."""

    WRITER = "writer"
    READER = "reader"
    AUDITOR = "auditor"
    NOBODY = "nobody"


@dataclass(frozen=True)
class LogLocation:
    """Where a workspace's log is kept.

    `uri` is the same for all paths that lead to the log. `folder` is the workspace's folder on
    this machine, absolute, or None if it has none. `name` is the one that a new workspace there
    gets if nobody gives one.
    """

    uri: str
    folder: Path | None
    name: str = ""

    @property
    def scheme(self) -> str:
        """The part of the URI that names the opener."""
        return self.uri.partition(":")[0]

    def __str__(self) -> str:
        """The place as messages name it: the folder, or else the URI."""
        return str(self.folder or self.uri)


class LogOpener(ABC):
    """Opens logs that are addressed by one scheme of URIs.

    Other packages bring theirs by an entry point in the group `runlore.recorders`: its name is the
    scheme, its value a subclass that is called without arguments.
    """

    @abstractmethod
    def locate(self, uri: str) -> LogLocation:
        """The location that a URI of this scheme means; touches nothing.

        It is never given a URI with a password in it. Raises InvalidInput for a malformed URI.
        """

    @abstractmethod
    def exists(self, location: LogLocation) -> bool:
        """Whether there is a log."""

    def identity(self, location: LogLocation) -> Hashable | None:
        """A key of the log itself, the same for all of its locations; None if there is no log.

        A log that is put in another's place gets another one. By default the URI.
        """
        return location.uri if self.exists(location) else None

    @abstractmethod
    def open(self, location: LogLocation, *, erasable: bool) -> EventLog:
        """The log, created if it does not exist; `erasable` chooses the kind of a new one.

        Raises the errors of `storage/errors.py`: NotALog, LogReadOnly, DiskFull, LogBusy.
        """

    def grant(self, location: LogLocation, role: str, rights: Rights) -> None:
        """Give a role of the log's server these rights, and no others.

        Raises InvalidInput where logs have no roles, and LogReadOnly for all but the owner.
        """
        raise InvalidInput(
            f"{location} has no roles: who may read and write there, the rights of its files say"
        )
