"""What an opener does with the server; apart from it, as psycopg takes long to import."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import closing

from runlore.domain.errors import RunloreError
from runlore.storage.log_opener import Rights
from runlore.storage.postgresql.address import Address
from runlore.storage.postgresql.connections import Connections
from runlore.storage.postgresql.erasable import ErasablePostgresLog
from runlore.storage.postgresql.host_folder import host_folder
from runlore.storage.postgresql.log import PostgresLog
from runlore.storage.postgresql.roles import grant
from runlore.storage.postgresql.schema import (
    Identity,
    found_at,
    identity_of,
    kind_and_clock,
    make_or_upgrade,
)
from runlore.storage.postgresql.server_clock import ServerClock


def exists(address: Address) -> bool:
    """Whether there is a log at the address."""
    with closing(Connections(address)) as connections:
        return connections.read(lambda connection: found_at(connection, address)).has_log


def identity(address: Address) -> Hashable | None:
    """A key of the log at the address; None if there is none."""
    with closing(Connections(address)) as connections:
        found = connections.read(lambda connection: identity_of(connection, address))
    return None if found is None else _key(found, address)


def _key(found: Identity, address: Address) -> Hashable:
    return found, address.uri  # Of the URI, too: another user there may have other rights.


def granted(address: Address, role: str, rights: Rights) -> None:
    """Give a role these rights in the log, and no others."""
    with closing(Connections(address)) as connections:
        connections.read(lambda connection: grant(connection, address, role, rights))


def opened(address: Address, *, erasable: bool) -> PostgresLog:
    """The log at the address, made if it is missing; `erasable` is for a new one."""
    connections = Connections(address)
    try:
        connections.read(lambda connection: make_or_upgrade(connection, address, erasable=erasable))
        found = connections.read(lambda connection: identity_of(connection, address))
        if found is None:
            raise RunloreError(f"the log in {address.uri} was removed as it was opened")
        has_keys, now = connections.read(lambda connection: kind_and_clock(connection, address))
        clock = ServerClock()
        clock.tell(now)
        kind = ErasablePostgresLog if has_keys else PostgresLog
        return kind(
            connections,
            folder=host_folder(address, found),
            clock=clock,
            identity=_key(found, address),
        )
    except BaseException:
        connections.close()
        raise
