"""The tables and functions of a log in PostgreSQL: made, recognized and brought up to date.

They are the SQL files of `migrations/`, one for each version, run in their order by the schema's
owner. A schema belongs to one log alone.
"""

from __future__ import annotations

import os
from functools import cache, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, NamedTuple

from psycopg import sql

from runlore.domain.fact import TIME_END
from runlore.storage.clock import SKEW_US
from runlore.storage.errors import LogReadOnly, NotALog
from runlore.storage.postgresql.address import Address
from runlore.storage.postgresql.connections import Connection
from runlore.storage.postgresql.rights import renew

VERSION: Final = 4
"""The version of the tables that this runlore makes and uses."""

_FOUND: Final = """
    SELECT n.nspname IS NOT NULL, pg_has_role(n.nspowner, 'USAGE'),
           EXISTS (SELECT FROM pg_class c
                   WHERE c.relnamespace = n.oid AND c.relname = 'log_format'),
           EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid)
             OR EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = n.oid),
           has_database_privilege(current_database(), 'CREATE')
    FROM (SELECT 1) one LEFT JOIN pg_namespace n ON n.nspname = %s
"""
_IDENTITY: Final = """
    SELECT (SELECT system_identifier FROM pg_control_system())::text, d.oid::bigint, c.oid::bigint
    FROM pg_database d, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE d.datname = current_database() AND n.nspname = %s AND c.relname = 'log_format'
"""


class Found(NamedTuple):
    """What is at an address: whether there is such a schema, a log in it, or something else."""

    has_schema: bool
    is_ours: bool
    has_log: bool
    has_anything: bool
    may_create: bool


class Identity(NamedTuple):
    """Which log it is: the server, the database and the table there, and the log's own id.

    A restored or copied log has the same id in another place.
    """

    server: str
    database: int
    table: int
    log_id: bytes


@lru_cache(maxsize=256)
def statement(text: str, address: Address) -> sql.SQL:
    """The SQL with its schema named."""
    named = text.replace("@schema@", address.quoted_schema)
    return sql.SQL(named)


def found_at(connection: Connection, address: Address) -> Found:
    """What is at an address; needs no rights there."""
    row = connection.execute(_FOUND, [address.schema]).fetchone()
    assert row is not None, "it has one row"
    return Found(*(bool(value) for value in row))


def identity_of(connection: Connection, address: Address) -> Identity | None:
    """Which log is at the address; None if there is none. Raises LogReadOnly without rights."""
    row = connection.execute(_IDENTITY, [address.schema]).fetchone()
    if row is None:
        return None
    named = statement("SELECT log_id FROM @schema@.log_format", address)
    [(log_id,)] = connection.execute(named).fetchall()
    server, database, table = row
    return Identity(server, database, table, log_id)


def kind_and_clock(connection: Connection, address: Address) -> tuple[bool, int]:
    """Whether the log's runs can be erased, and the server's time in µs since 1970 UTC."""
    named = statement("SELECT is_erasable, @schema@.clock_us() FROM @schema@.log_format", address)
    [(is_erasable, clock)] = connection.execute(named).fetchall()
    return is_erasable, clock


def make_or_upgrade(connection: Connection, address: Address, *, erasable: bool = False) -> None:
    """Make the log, or bring its tables up to date; `erasable` is for a new one.

    Raises NotALog or LogReadOnly.
    """
    found = found_at(connection, address)
    if found.has_log and _version_of(connection, address) == VERSION:
        return
    with connection.transaction():
        # Two processes may come at once. A name of its own, so that nobody else takes the lock.
        lock = "SELECT pg_advisory_xact_lock(hashtextextended('runlore schema ' || %s, 0))"
        connection.execute(lock, [address.schema])
        found = found_at(connection, address)
        before = _version_of(connection, address) if found.has_log else 0
        if before <= VERSION:
            _check_may_make(found, address)
            _check_encoding(connection, address)
        if not found.has_schema:
            connection.execute(statement("CREATE SCHEMA @schema@", address))
        if before > VERSION:
            raise NotALog(
                f"the log in {address.uri} was made by a newer runlore: its tables have version "
                f"{before}, and this runlore knows them up to version {VERSION}; upgrade runlore"
            )
        # A reader that lasts must not hold up all writers behind this change.
        connection.execute("SET LOCAL lock_timeout = '10s'")
        for number in range(before + 1, VERSION + 1):
            connection.execute(statement(_migration(number), address))
        if before == 0:
            made = (
                "INSERT INTO @schema@.log_format (version, log_id, is_erasable) VALUES (%s, %s, %s)"
            )
            connection.execute(statement(made, address), [VERSION, os.urandom(16), erasable])
        else:
            moved = "UPDATE @schema@.log_format SET version = %s"
            connection.execute(statement(moved, address), [VERSION])
            renew(lambda text: _asked(connection, text, address))


def _asked(connection: Connection, text: str, address: Address) -> list[tuple[Any, ...]]:
    cursor = connection.execute(statement(text, address))
    return cursor.fetchall() if cursor.description else []


def _check_may_make(found: Found, address: Address) -> None:
    if not found.has_log and found.has_anything:
        raise NotALog(
            f"{address.uri} holds something else than a log of runlore; a workspace needs a schema "
            "of its own: name one that is new, such as ?schema=team"
        )
    if found.has_schema and not found.is_ours:
        raise LogReadOnly(
            f"{address.uri}: the schema belongs to another role, which alone makes and upgrades "
            "the log's tables; let its owner open the workspace once with this runlore"
        )
    if not (found.has_schema or found.may_create):
        raise LogReadOnly(
            f"there is no schema {address.schema!r} in {address.uri}, and this role may not create "
            f"one; let the database's owner run: CREATE SCHEMA {address.quoted_schema} "
            "AUTHORIZATION your_role"
        )


def _check_encoding(connection: Connection, address: Address) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise NotALog(
            f"the database of {address.uri} has the encoding {encoding}, which cannot hold every "
            "text; name one that was made by CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


def _version_of(connection: Connection, address: Address) -> int:
    named = statement("SELECT version FROM @schema@.log_format", address)
    row = connection.execute(named).fetchone()
    if row is None:
        raise NotALog(f"the schema of {address.uri} lost its table log_format; restore a backup")
    version: int = row[0]
    return version


@cache
def _migration(number: int) -> str:
    [name] = [one.name for one in _folder().iterdir() if one.name.startswith(f"{number:04}_")]
    text = (_folder() / name).read_text(encoding="utf-8")
    return text.replace("@time_end@", str(TIME_END)).replace("@skew@", str(SKEW_US))


def _folder() -> Traversable:
    return files("runlore.storage.postgresql") / "migrations"
