"""Logs in PostgreSQL for tests, and a server's clock that tests set."""

from __future__ import annotations

import psycopg

from runlore.storage.postgresql.address import address_of
from runlore.storage.postgresql.connections import Connections
from runlore.storage.postgresql.erasable import ErasablePostgresLog
from runlore.storage.postgresql.log import PostgresLog
from runlore.storage.postgresql.schema import make_or_upgrade
from runlore.testing.logs import NOON, Clock
from tests.postgres.server import Server


def log_at(uri: str, wait_s: float | None = None, *, erasable: bool = False) -> PostgresLog:
    """The log at a URI, made if it is missing."""
    address = address_of(uri)
    connections = Connections(address, wait_s=wait_s)
    connections.read(lambda c: make_or_upgrade(c, address, erasable=erasable))
    return ErasablePostgresLog(connections) if erasable else PostgresLog(connections)


class ServerClock(Clock):
    """The clock of one schema's log: its function is replaced by one that reads a table."""

    def __init__(self, server: Server, schema: str, now: int = NOON) -> None:
        self._connection = psycopg.connect(server.uri(), autocommit=True)
        self._schema = schema
        self._is_set = False
        super().__init__(now)

    def take_over(self) -> None:
        """From now on the log's times come from here."""
        schema = self._schema
        self._connection.execute(
            f"""
            CREATE TABLE {schema}.test_clock AS SELECT {self._now}::bigint AS now;
            CREATE OR REPLACE FUNCTION {schema}.clock_us() RETURNS bigint LANGUAGE sql VOLATILE
                SET search_path = pg_catalog, pg_temp AS 'SELECT now FROM {schema}.test_clock'
            """.encode()
        )
        self._is_set = True

    @property
    def now(self) -> int:
        """Microseconds since 1970 UTC."""
        return self._now

    @now.setter
    def now(self, now: int) -> None:
        self._now = now
        if self._is_set:
            self._connection.execute(f"UPDATE {self._schema}.test_clock SET now = {now:d}".encode())

    def close(self) -> None:
        """Leave the server."""
        self._connection.close()
