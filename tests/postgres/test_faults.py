"""Faults at a server's end: an error says what to do, or the change comes through."""

from __future__ import annotations

import os
import re
import select
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from runlore import Workspace
from runlore.domain.errors import InvalidInput, WorkspaceNotFound
from runlore.storage.errors import DiskFull, LogBusy, LogReadOnly, LogUnavailable, NotALog
from runlore.storage.event_log import StoredRow
from runlore.storage.postgresql.errors import ServerRefused
from runlore.storage.postgresql.schema import VERSION
from runlore.storage.verification import verify_log
from runlore.testing.logs import all_rows, new_event
from runlore.testing.waiting import LIMIT_S
from tests.postgres.logs import log_at
from tests.postgres.server import Server
from tests.postgres.teams import new_role

pytestmark = [pytest.mark.long, pytest.mark.processes]


def test_a_database_that_is_missing(server: Server) -> None:
    uri = server.uri("s").replace("/postgres?", "/missing?")

    with pytest.raises(ServerRefused, match='"missing" does not exist.*check user and database'):
        Workspace.open(uri)


def test_a_host_that_is_unknown() -> None:
    with pytest.raises(ServerRefused, match="check the host's name"):
        Workspace.open("postgresql://postgres@nowhere.invalid/db?schema=s")


def test_a_setting_that_libpq_does_not_know(server: Server) -> None:
    with pytest.raises(InvalidInput, match="colour"):
        Workspace.open(f"{server.uri('s')}&colour=red")


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("sslmode=verify-full", "correct the settings"),
        ("sslmode=require", "does not support SSL.*correct the settings"),
        ("sslmode=odd", "invalid sslmode value.*correct the settings"),
        ("port=x", "invalid integer value.*correct the settings"),
        ("port=99999", "invalid port number.*correct the settings"),
        ("require_auth=scram-sha-256", "method requirement.*correct the settings"),
        ("channel_binding=require", "channel binding required.*correct the settings"),
        ("options=-c%20odd%3D1", "unrecognized configuration parameter.*correct the settings"),
        ("connect_timeout=x", "bad value for connect_timeout"),
    ],
)
def test_settings_that_no_wait_makes_right_are_told_at_once(
    setting: str, why: str, server: Server
) -> None:
    uri = f"{server.uri('s')}&{setting}"
    if setting.startswith("port="):
        uri = f"postgresql://postgres@/postgres?host=127.0.0.1&schema=s&{setting}"

    with pytest.raises((ServerRefused, InvalidInput), match=why):
        Workspace.open(uri)


def test_roles_and_databases_that_are_closed_are_told_at_once(server: Server) -> None:
    name = f"closed_{os.urandom(4).hex()}"
    role = new_role(server, "out")
    server.execute(f"CREATE DATABASE {name}")
    server.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    uri = server.uri("s", role).replace("/postgres?", f"/{name}?")
    with pytest.raises(ServerRefused, match="permission denied for database.*administrator"):
        Workspace.open(uri)
    server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    with pytest.raises(ServerRefused, match="not currently accepting connections.*administrator"):
        Workspace.open(uri)
    server.execute(f"ALTER ROLE {role} NOLOGIN")
    with pytest.raises(ServerRefused, match="not permitted to log in.*administrator"):
        Workspace.open(server.uri("s", role))


def test_a_schema_that_is_missing(server: Server, schema: str) -> None:
    with pytest.raises(WorkspaceNotFound, match="create one with"):
        Workspace.open(server.uri(schema))

    assert server.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", schema) == []


def test_a_role_without_rights(server: Server, schema: str) -> None:
    role = new_role(server, "none")
    with pytest.raises(LogReadOnly, match="may not create one.*CREATE SCHEMA"):
        Workspace.create("team", path=server.uri(schema, role), show_output=False)
    server.execute(f"CREATE SCHEMA {schema}")
    with pytest.raises(LogReadOnly, match="belongs to another role"):
        Workspace.create("team", path=server.uri(schema, role), show_output=False)
    log_at(server.uri(schema)).close()

    with pytest.raises(LogReadOnly, match="runlore workspace grant"):
        Workspace.open(server.uri(schema, role))


def test_the_tables_of_another_application(server: Server, schema: str) -> None:
    server.execute(f"CREATE SCHEMA {schema}")
    server.execute(f"CREATE TABLE {schema}.stored_events (theirs int)")
    server.execute(f"INSERT INTO {schema}.stored_events VALUES (1)")

    with pytest.raises(NotALog, match="something else.*name one that is new"):
        Workspace.create("team", path=server.uri(schema), show_output=False)

    assert server.execute(f"SELECT * FROM {schema}.stored_events") == [(1,)]


@pytest.mark.parametrize(
    "theirs",
    [
        "TABLE {}.log_format (version text)",
        "TABLE {}.log_format AS SELECT 1 AS version",
        "TABLE {}.log_format AS SELECT {version} AS version",
        "VIEW {}.log_format AS SELECT 1 AS version",
    ],
)
def test_a_table_of_another_application_that_has_the_name_of_ours(
    theirs: str, server: Server, schema: str
) -> None:
    server.execute(f"CREATE SCHEMA {schema}")
    server.execute(f"CREATE {theirs.format(schema, version=VERSION)}")

    with pytest.raises(NotALog, match="not a log of this runlore.*name another schema"):
        Workspace.create("team", path=server.uri(schema), show_output=False)

    relations = "SELECT count(*) FROM pg_class WHERE relnamespace = %s::regnamespace"
    assert server.execute(relations, schema) == [(1,)]


def test_a_schema_that_is_dropped_while_it_is_used(server: Server, schema: str) -> None:
    with closing(log_at(server.uri(schema))) as log:
        log.append([new_event()])
        server.execute(f"DROP SCHEMA {schema} CASCADE")

        with pytest.raises(NotALog, match="not a log of this runlore"):
            log.append([new_event(version=2)])
        with pytest.raises(NotALog, match="not a log of this runlore"):
            all_rows(log)


@pytest.mark.parametrize("is_owner", [True, False])
def test_tables_of_a_newer_runlore(is_owner: bool, server: Server, schema: str) -> None:
    log_at(server.uri(schema)).close()
    role = "postgres" if is_owner else new_role(server, "other")
    server.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    server.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")
    server.execute(f"UPDATE {schema}.log_format SET version = 99")

    with pytest.raises(NotALog, match="version 99.*upgrade runlore"):
        log_at(server.uri(schema, role))


def test_a_format_that_is_lost(server: Server, schema: str) -> None:
    log_at(server.uri(schema)).close()
    server.execute(f"DELETE FROM {schema}.log_format")

    with pytest.raises(NotALog, match="restore a backup"):
        log_at(server.uri(schema))


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_text(encoding: str, server: Server) -> None:
    name = f"db_{encoding.lower()}"
    server.execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' "
        "LC_CTYPE 'C'"
    )

    with pytest.raises(NotALog, match=f"{encoding}.*ENCODING 'UTF8'"):
        log_at(server.uri("s").replace("/postgres?", f"/{name}?"))


@contextmanager
def greeting_as(version: str, server: Server) -> Iterator[int]:
    """The port of a proxy that lets the server say, as it greets, that it is of this version."""
    told = b"server_version\0" + version.encode() + b"\0"
    status = b"S" + struct.pack(">i", len(told) + 4) + told
    with socket.create_server(("127.0.0.1", 0)) as door:

        def relay() -> None:
            client, _ = door.accept()
            with client, socket.create_connection(("127.0.0.1", server.port)) as far:
                while ready := select.select([client, far], [], [], LIMIT_S)[0]:
                    data = ready[0].recv(65536)
                    if not data:
                        break
                    if ready[0] is far:
                        data = re.sub(rb"S....server_version\0[^\0]*\0", status, data, flags=re.S)
                    (client if ready[0] is far else far).sendall(data)

        thread = threading.Thread(target=relay)
        thread.start()
        yield door.getsockname()[1]
        thread.join(LIMIT_S)


def test_a_server_that_is_too_old(server: Server, schema: str) -> None:
    with greeting_as("13.12", server) as port:
        uri = server.uri(schema).replace(f":{server.port}/", f":{port}/")
        with pytest.raises(LogUnavailable, match="PostgreSQL 13; runlore needs 14"):
            Workspace.open(uri)


def test_a_role_whose_transactions_only_read(server: Server, schema: str) -> None:
    role = new_role(server, "still")
    server.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {role}")
    log_at(server.uri(schema, role)).close()
    server.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")

    with closing(log_at(server.uri(schema, role))) as log:
        with pytest.raises(LogReadOnly, match="standby, or default_transaction_read_only"):
            log.append([new_event()])
        assert all_rows(log) == []


def test_too_many_connections_are_waited_for(server: Server, schema: str) -> None:
    role = new_role(server, "crowd")
    server.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {role}")
    log_at(server.uri(schema, role)).close()
    server.execute(f"ALTER ROLE {role} CONNECTION LIMIT 1")
    holder = psycopg.connect(server.uri(user=role))
    with pytest.raises(LogBusy, match="too many connections.*safe to try again"):
        log_at(server.uri(schema, role), wait_s=0.3)

    threading.Timer(0.5, holder.close).start()
    with closing(log_at(server.uri(schema, role), wait_s=30)) as log:
        log.append([new_event()])
        assert len(all_rows(log)) == 1


@pytest.mark.parametrize("stream", ["run/\0", "run/\ud800"])
def test_names_that_the_server_cannot_hold_store_nothing(
    stream: str, server: Server, schema: str
) -> None:
    with closing(log_at(server.uri(schema))) as log:
        good = new_event("run/good")
        with pytest.raises((InvalidInput, UnicodeEncodeError)):
            log.append([good, new_event(stream)])
        assert all_rows(log) == []

        log.append([good])
        assert len(all_rows(log)) == 1


def test_events_of_16_mb(server: Server, schema: str) -> None:
    state = os.urandom(2**24)
    with closing(log_at(server.uri(schema))) as log:
        log.append([new_event(state=state), new_event(version=2)])

        assert [row.state for row in log.read_stream("run/r")] == [state, b"\x80"]
        assert verify_log(log).holds


def test_a_clock_of_this_machine_that_is_a_day_off(
    server: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(log_at(server.uri(schema))) as log:
        [before] = log.append([new_event()])
        monkeypatch.setattr("time.time_ns", lambda: 1)
        monkeypatch.setattr("time.time", lambda: 0.0)
        [after] = log.append([new_event(version=2)])

        assert 0 <= after.recorded_at - before.recorded_at < 60_000_000


def small_disk(folder: Path) -> bool:
    """Mount a file system of 12 MB, where this user may."""
    mounting = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(mounting, stderr=-3, check=False).returncode == 0


@pytest.fixture
def full(server: Server) -> Iterator[Path | None]:
    """A small file system that the server may write to; None where none can be mounted."""
    folder = server.folder / "small"
    folder.mkdir()
    if not small_disk(folder):
        yield None
        return
    space = folder / "space"
    space.mkdir()
    shutil.chown(space, "nobody")
    try:
        yield space
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_stores_nothing_and_the_next_change_goes_on(
    full: Path | None, server: Server, schema: str
) -> None:
    with closing(log_at(server.uri(schema))) as log:
        if full is not None:
            server.execute(f"CREATE TABLESPACE small LOCATION '{full}'")
            server.execute(f"ALTER TABLE {schema}.stored_events SET TABLESPACE small")
        event = new_event()
        stored: list[StoredRow] = []
        while True:
            event = new_event(version=len(stored) + 1, state=os.urandom(2**20))
            try:
                stored.extend(log.append([event]))
            except DiskFull as error:
                assert "free space there and try again" in str(error)
                break
            if full is None and len(stored) > 15:
                break
        assert all_rows(log) == stored
        server.execute(f"ALTER TABLE {schema}.stored_events SET TABLESPACE pg_default")
        if full is not None:
            server.execute("DROP TABLESPACE small")

        log.append([event])
        assert all_rows(log)[: len(stored)] == stored
        assert event.event_id in [row.event_id for row in all_rows(log)]
        assert verify_log(log).holds
