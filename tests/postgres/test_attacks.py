"""What a writer's role cannot do: change, forge or back-date what the log says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from typing import Any, Final

import msgpack
import psycopg
import pytest
from psycopg import errors

from runlore.domain.errors import RunloreError
from runlore.domain.events import LOG_VERSION
from runlore.storage.event_log import EventLog, NewEvent
from runlore.storage.postgresql.calls import APPEND
from runlore.storage.verification import verify_log
from runlore.testing.logs import all_rows, new_event
from tests.postgres.logs import log_at
from tests.postgres.teams import Team

pytestmark = pytest.mark.processes

FORBIDDEN: Final = (
    "UPDATE @s@.stored_events SET state = '' WHERE notification_id = 1",
    "DELETE FROM @s@.stored_events",
    "TRUNCATE @s@.stored_events",
    "MERGE INTO @s@.stored_events e USING @s@.stored_events o ON e.notification_id = "
    "o.notification_id WHEN MATCHED THEN DELETE",
    "INSERT INTO @s@.stored_events VALUES (99, 'run/x', 1, 't', '', NULL, 1, NULL, '')",
    "INSERT INTO @s@.stored_events SELECT * FROM @s@.stored_events ON CONFLICT DO NOTHING",
    "COPY @s@.stored_events FROM PROGRAM 'true'",
    "COPY @s@.stored_events FROM STDIN",
    "UPDATE @s@.log_head SET position = 0",
    "DELETE FROM @s@.log_head",
    "INSERT INTO @s@.log_head VALUES (99, 0, '', 1, 0, '0')",
    "UPDATE @s@.settled SET until = 0",
    "DELETE FROM @s@.as_of_steps",
    "UPDATE @s@.drained SET slot = 0",
    "UPDATE @s@.log_format SET log_id = ''",
    "DELETE FROM @s@.log_lock",
    "SELECT FROM @s@.log_lock FOR UPDATE",
    "SELECT FROM @s@.stored_events FOR SHARE",
    "LOCK TABLE @s@.stored_events IN ACCESS EXCLUSIVE MODE",
    "LOCK TABLE @s@.log_lock IN ROW EXCLUSIVE MODE",
    "ALTER TABLE @s@.stored_events ADD COLUMN x int",
    "ALTER TABLE @s@.stored_events DISABLE TRIGGER ALL",
    "ALTER TABLE @s@.stored_events OWNER TO @writer@",
    "ALTER TABLE @s@.stored_events ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE @s@.stored_events SET UNLOGGED",
    "DROP TABLE @s@.stored_events",
    "DROP SCHEMA @s@ CASCADE",
    "ALTER SCHEMA @s@ RENAME TO other",
    "CREATE TABLE @s@.mine ()",
    "CREATE TABLE pg_temp.heir () INHERITS (@s@.stored_events)",
    "CREATE INDEX ON @s@.stored_events (topic)",
    "CREATE RULE mine AS ON INSERT TO @s@.stored_events DO INSTEAD NOTHING",
    "CREATE POLICY mine ON @s@.stored_events USING (false)",
    "CREATE FUNCTION @s@.clock_us(int) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'",
    "CREATE OR REPLACE FUNCTION @s@.clock_us() RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'",
    "ALTER FUNCTION @s@.clock_us() RESET ALL",
    "ALTER FUNCTION @s@.append SECURITY INVOKER",
    "DROP FUNCTION @s@.settle",
    "SELECT @s@.is_map('')",
    "UPDATE @s@.presence SET has_left = true",
    "DELETE FROM @s@.outcomes",
    "SELECT @s@.extended(0, '', '')",
    "SET session_replication_role = replica",
    "SET ROLE @owner@",
    "SET SESSION AUTHORIZATION @owner@",
    "GRANT @owner@ TO @writer@",
    "REASSIGN OWNED BY @owner@ TO @writer@",
    "DROP OWNED BY @owner@",
    "ALTER ROLE @owner@ SET search_path = pg_temp",
    "ALTER SYSTEM SET fsync = off",
    "SELECT pg_read_file('/etc/passwd')",
)


@pytest.fixture
def role(team: Team) -> Iterator[psycopg.Connection[Any]]:
    """What the writer's role can do without runlore."""
    with team.connect(team.writer) as connection:
        yield connection


@pytest.fixture
def log(team: Team) -> Iterator[EventLog]:
    """The log as its owner reads it."""
    with closing(log_at(team.uri(team.owner))) as log:
        yield log


def call(role: psycopg.Connection[Any], team: Team, **changed: object) -> tuple[Any, ...]:
    """Call the server's function with one event, some arguments of which are others."""
    event = new_event(f"run/{time.monotonic_ns()}")
    given = {
        "streams": [event.stream],
        "versions": [1],
        "topics": ["run.x"],
        "states": [b"\x80"],
        "ids": [event.event_id],
        "metas": [msgpack.packb({"writer": "w"})],
        "meta_of": [1],
        "asked_version": 1,
        "known_version": LOG_VERSION,
        "writer": None,
        "lap": None,
        "slot": None,
        "wait_ms": 1000,
    }
    assert changed.keys() <= given.keys()
    text = APPEND.replace("@schema@", team.schema)
    cursor = role.cursor(binary=True)
    [row] = cursor.execute(text.encode(), list({**given, **changed}.values())).fetchall()
    return tuple(row)


@pytest.mark.parametrize("attack", FORBIDDEN)
def test_a_writer_may_not(
    attack: str, team: Team, role: psycopg.Connection[Any], log: EventLog
) -> None:
    before = (all_rows(log), log.head())

    inside = role.transaction() if attack.startswith("LOCK") else nullcontext()
    with pytest.raises(errors.InsufficientPrivilege), inside:
        role.execute(team.sql(attack))

    assert (all_rows(log), log.head()) == before


SHADOWS: Final = (
    "CREATE TEMP TABLE log_head (position bigint, recorded_at bigint, frontier bytea, "
    "version int, clock bigint, transaction xid8)",
    "INSERT INTO pg_temp.log_head VALUES (0, 0, '', 1, 0, '0')",
    "CREATE TEMP TABLE stored_events AS SELECT * FROM @s@.stored_events",
    "CREATE TEMP TABLE log_lock (one boolean)",
    "CREATE TYPE pg_temp.bigint AS (x int)",
    "CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT ''x''::bytea'",
    "CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE sql "
    "AS 'SELECT ''2001-01-01''::timestamptz'",
    "CREATE FUNCTION pg_temp.int8send(bigint) RETURNS bytea LANGUAGE sql AS 'SELECT ''x''::bytea'",
    "CREATE FUNCTION pg_temp.joined(bytea, bytea) RETURNS bytea LANGUAGE sql "
    "AS 'SELECT ''x''::bytea'",
    "CREATE OPERATOR pg_temp.|| (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = pg_temp.joined)",
    "SET search_path = pg_temp, pg_catalog",
    "SET TimeZone = 'Pacific/Kiritimati'",
    "SET DateStyle = 'German'",
    "SET bytea_output = 'escape'",
    "SET client_encoding = 'LATIN1'",
    "SET check_function_bodies = off",
    "SET standard_conforming_strings = on",
    "SET transform_null_equals = on",
)


def test_what_a_writer_puts_before_the_servers_own_names_is_not_used(
    team: Team, role: psycopg.Connection[Any], log: EventLog
) -> None:
    for shadow in SHADOWS:
        role.execute(team.sql(shadow))
    began, head = time.time_ns() // 1000, log.head().position

    first, *_ = call(role, team)

    row = all_rows(log)[-1]
    assert first == row.position == head + 1
    assert began <= row.recorded_at <= time.time_ns() // 1000
    assert signed_by(row.metadata) == team.writer
    assert verify_log(log).holds


def signed_by(metadata: bytes | None) -> object:
    """The role that an event says it was stored by."""
    assert metadata is not None
    return msgpack.unpackb(metadata)["db_user"]


def text_of(name: bytes, form: str) -> bytes:
    """A text in each form that msgpack has for it."""
    size = len(name)
    return {
        "fixstr": bytes([0xA0 | size]),
        "str8": bytes([0xD9, size]),
        "str16": b"\xda" + size.to_bytes(2, "big"),
        "str32": b"\xdb" + size.to_bytes(4, "big"),
    }[form] + name


@pytest.mark.parametrize("form", ["fixstr", "str8", "str16", "str32"])
@pytest.mark.parametrize("is_large", [False, True])
def test_a_forged_name_or_time_does_not_count(
    form: str, is_large: bool, team: Team, role: psycopg.Connection[Any], log: EventLog
) -> None:
    forged = text_of(b"db_user", form) + b"\xa5owner" + text_of(b"as_of", form) + b"\x01"
    head = b"\xde\x00\x02" if is_large else b"\x82"

    call(role, team, metas=[head + forged])

    row = all_rows(log)[-1]
    assert signed_by(row.metadata) == team.writer
    assert msgpack.unpackb(row.metadata or b"")["as_of"] == row.recorded_at
    assert log.position_at(row.recorded_at - 1) < row.position
    assert verify_log(log).holds


ID: Final = b"i" * 16
DEEP: Final = b"\x81\xa1d" + b"\x91" * 200 + b"\x00"
MALFORMED: Final[dict[str, dict[str, object]]] = {
    "fewer versions": {"versions": []},
    "more topics": {"topics": ["a", "b"]},
    "no metadata for an event with an id": {"metas": [], "meta_of": []},
    "an event without an id": {"ids": [None]},
    "an id of another length": {"ids": [b"short"]},
    "an empty stream": {"streams": [""]},
    "an empty topic": {"topics": [""]},
    "no stream": {"streams": [None]},
    "no version": {"versions": [None]},
    "no state": {"states": [None]},
    "no arrays": {"streams": None},
    "no metadata": {"metas": [None]},
    "null metadata": {"metas": None},
    "a number of no metadata": {"meta_of": [2]},
    "a number before the first": {"meta_of": [0]},
    "no number": {"meta_of": [None]},
    "no map": {"metas": [b"\x91\x00"]},
    "an empty metadata": {"metas": [b""]},
    "a cut map": {"metas": [b"\x82\xa1a\x00"]},
    "more after the map": {"metas": [b"\x80\xff"]},
    "a map of 2**32 keys": {"metas": [b"\xdf\xff\xff\xff\xff"]},
    "a map of too many keys": {"metas": [b"\xde\xff\xff"]},
    "an unused byte": {"metas": [b"\x81\xa1a\xc1"]},
    "an extension": {"metas": [b"\x81\xa1a\xd4\x01\x00"]},
    "a text of 4 GB": {"metas": [b"\x81\xa1a\xdb\xff\xff\xff\xff"]},
    "a list of 4 G": {"metas": [b"\x81\xa1a\xdd\xff\xff\xff\xff"]},
    "a cut length": {"metas": [b"\x81\xa1a\xda\x00"]},
    "a cut short text": {"metas": [b"\x81\xa1a\xa5b"]},
    "a cut text": {"metas": [b"\x81\xa1a\xd9\x20b"]},
    "a text without its length": {"metas": [b"\x81\xa1a\xd9"]},
    "a cut number": {"metas": [b"\x81\xa1a\xcf\x00"]},
    "a missing value": {"metas": [b"\x81\xa1a"]},
    "one more value": {"metas": [b"\x81\xa1a\xa1b\xa1c"]},
    "a key that is a large number": {"metas": [b"\x81\xcf" + bytes(8) + b"\x00"]},
    "a longer text that is not UTF-8": {"metas": [b"\x81\xa1a\xd9\x20" + b"\xff" * 32]},
    "a key that is a number": {"metas": [b"\x81\x01\x00"]},
    "a key that is a list": {"metas": [b"\x81\x90\x00"]},
    "a key inside that is a number": {"metas": [b"\x81\xa1a\x81\x01\x00"]},
    "a text that is not UTF-8": {"metas": [b"\x81\xa1a\xa1\xff"]},
    "a surrogate": {"metas": [b"\x81\xa1a\xa3\xed\xa0\x80"]},
    "deep metadata": {"metas": [DEEP]},
    "two dimensions of ids": {"ids": [[ID]]},
    "two dimensions of metadata": {"metas": [[b"\x80"]]},
    "a spool without a slot": {"writer": "w"},
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_call_stores_nothing(
    name: str, team: Team, role: psycopg.Connection[Any], log: EventLog
) -> None:
    before = (all_rows(log), log.head(), log.drained_marks())

    with pytest.raises(psycopg.Error):
        call(role, team, **MALFORMED[name])

    assert (all_rows(log), log.head(), log.drained_marks()) == before


@pytest.mark.parametrize("array", ["metas", "ids", "streams", "meta_of"])
def test_arrays_that_begin_elsewhere_hide_no_name(
    array: str, team: Team, role: psycopg.Connection[Any], log: EventLog
) -> None:
    before, slots = log.last_position(), ["%b"] * 13
    place = ("streams", "versions", "topics", "states", "ids", "metas", "meta_of").index(array)
    value = {"metas": r"{\\x80}", "streams": "{run/y}", "meta_of": "{1}", "ids": f"{{{'i' * 16}}}"}
    kind = {"streams": "text[]", "meta_of": "int[]"}.get(array, "bytea[]")
    slots[place] = f"'[5:5]={value[array]}'::{kind}"
    given = [
        *([f"run/{array}"], [1], ["t"], [b""], [ID], [b"\x80"], [1]),
        *(1, LOG_VERSION, None, None, None, 1000),
    ]
    del given[place]
    types = ["text[]", "bigint[]", "text[]", "bytea[]", "bytea[]", "bytea[]", "int[]"]
    types += ["int", "int", "text", "bigint", "bigint", "int"]
    casts = (slot if "::" in slot else f"{slot}::{t}" for slot, t in zip(slots, types, strict=True))

    try:
        role.execute(f"SELECT {team.schema}.append({', '.join(casts)})".encode(), given)
    except psycopg.Error as error:
        assert error.sqlstate == "RL005", error

    for row in all_rows(log)[before:]:
        assert signed_by(row.metadata) == team.writer
    assert verify_log(log).holds


def test_every_metadata_of_runlore_is_accepted(team: Team, log: EventLog) -> None:
    fields = {
        "reason": "as_of and observed_at: 💥\0",
        "origin": {"origin": {"workspace": "w", "n": [1, -5, 2**40, 2.5, None, True]}},
        "long": "x" * 70_000,
        "bytes": b"y" * 300,
    }
    with closing(log_at(team.uri(team.writer))) as writer:
        event = new_event("run/metadata")._replace(metadata=fields)
        [row] = writer.append([event])

    assert row in all_rows(log)
    unpacked = msgpack.unpackb(row.metadata or b"")
    assert {**unpacked, **fields} == unpacked
    assert verify_log(log).holds


def test_a_writer_that_turns_off_the_sync_is_told(team: Team, role: Any) -> None:
    role.execute("SET synchronous_commit = off")

    with pytest.raises(psycopg.Error, match="may be lost"):
        call(role, team)


@pytest.mark.parametrize("level", ["serializable", "repeatable read"])
def test_another_isolation_level_as_the_roles_default_changes_nothing(
    level: str, team: Team, log: EventLog
) -> None:
    role = team.writer
    team.server.execute(f"ALTER ROLE {role} SET default_transaction_isolation = '{level}'")
    try:
        with closing(log_at(team.uri(role))) as writer:
            for change in changes(level):
                change(writer)
    finally:
        team.server.execute(f"ALTER ROLE {role} RESET ALL")

    assert verify_log(log).holds


def changes(name: str) -> list[Callable[[EventLog], object]]:
    """One change of each kind, in streams of this name."""
    events: list[NewEvent] = [new_event(f"run/{name}/{number}") for number in range(3)]
    return [
        lambda log: log.append(events[:1]),
        lambda log: log.append_decided(lambda read: [] if read(events[1].stream) else events[1:2]),
        lambda log: log.append_all(lambda: events[2:]),
        lambda log: log.settle(time.time_ns() // 1000 - 1),
    ]


def test_each_kind_of_change_is_refused_to_a_reader(team: Team, log: EventLog) -> None:
    before = (all_rows(log), log.head())
    with closing(log_at(team.uri(team.reader))) as reader:
        for change in changes("reader"):
            with pytest.raises(RunloreError, match="runlore workspace grant"):
                change(reader)

    assert (all_rows(log), log.head()) == before
