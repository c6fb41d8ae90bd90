"""Logs in PostgreSQL: where they are, and how they are opened."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runlore.domain.errors import InvalidInput
from runlore.storage.log_opener import LogLocation, LogOpener, Rights
from runlore.storage.postgresql.address import address_of

if TYPE_CHECKING:
    from runlore.storage.event_log import EventLog


class PostgresOpener(LogOpener):
    """A schema of a database, `postgresql://user@host/database?schema=team`."""

    def locate(self, uri: str) -> LogLocation:
        address = address_of(uri)
        return LogLocation(address.uri, None, address.schema)

    def exists(self, location: LogLocation) -> bool:
        with _explained():
            from runlore.storage.postgresql import driver
        return driver.exists(address_of(location.uri))

    def identity(self, location: LogLocation) -> Hashable | None:
        with _explained():
            from runlore.storage.postgresql import driver
        return driver.identity(address_of(location.uri))

    def open(self, location: LogLocation, *, erasable: bool) -> EventLog:
        with _explained():
            from runlore.storage.postgresql import driver
        return driver.opened(address_of(location.uri), erasable=erasable)

    def grant(self, location: LogLocation, role: str, rights: Rights) -> None:
        with _explained():
            from runlore.storage.postgresql import driver
        driver.granted(address_of(location.uri), role, rights)


@contextmanager
def _explained() -> Iterator[None]:
    """Raise InvalidInput, which says how to install the driver, if it is missing."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("psycopg", "psycopg_binary"):
            raise
        raise InvalidInput(
            f"a workspace in PostgreSQL needs the package psycopg ({error}); install it with: "
            "pip install 'runlore[postgres]'"
        ) from error
