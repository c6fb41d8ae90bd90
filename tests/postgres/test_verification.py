"""Whatever SQL does to a log in PostgreSQL behind runlore's back, its verification names it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from runlore.storage.event_log import Drained
from runlore.storage.log_query import LogQuery
from runlore.storage.merkle import Frontier
from runlore.storage.postgresql.log import PostgresLog
from runlore.storage.verification import verify_log
from runlore.testing.logs import new_events
from tests.cli.shell import in_this_process, runlore
from tests.postgres.logs import ServerClock, log_at
from tests.postgres.server import Server
from tests.postgres.teams import Team

pytestmark = pytest.mark.processes

EVENTS: Final = 30
_COPY: Final = "(SELECT * FROM @s@.stored_events WHERE notification_id = 12)"
_FIT: Final = (
    "UPDATE @s@.stored_events SET leaf = sha256('\\x0000000008'::bytea || "
    "int8send(notification_id)) WHERE notification_id = 12"
)

MUTATIONS: Final = {
    "a stream": "UPDATE @s@.stored_events SET originator_id = 'run/x' WHERE notification_id = 12",
    "a version": "UPDATE @s@.stored_events SET originator_version = 99 WHERE notification_id = 12",
    "a topic": "UPDATE @s@.stored_events SET topic = 'x' WHERE notification_id = 12",
    "a state": "UPDATE @s@.stored_events SET state = '' WHERE notification_id = 12",
    "an id": "UPDATE @s@.stored_events SET event_id = sha256('') WHERE notification_id = 12",
    "no id": "UPDATE @s@.stored_events SET event_id = NULL WHERE notification_id = 12",
    "a time": "UPDATE @s@.stored_events SET recorded_at = recorded_at - 1 WHERE "
    "notification_id = 12",
    "metadata": "UPDATE @s@.stored_events SET metadata = '\\x80' WHERE notification_id = 12",
    "no metadata": "UPDATE @s@.stored_events SET metadata = NULL WHERE notification_id = 12",
    "a leaf": "UPDATE @s@.stored_events SET leaf = sha256('') WHERE notification_id = 12",
    "another leaf that fits nothing": _FIT,
    "a position": "UPDATE @s@.stored_events SET notification_id = 99 WHERE notification_id = 12",
    "a removed event": "DELETE FROM @s@.stored_events WHERE notification_id = 12",
    "a removed end": "DELETE FROM @s@.stored_events WHERE notification_id > 20",
    "all removed": "TRUNCATE @s@.stored_events",
    "an event after the head": f"INSERT INTO @s@.stored_events SELECT 31, originator_id, 99, topic,"
    f" state, event_id, recorded_at, metadata, leaf FROM {_COPY}",
    "an event before the first": f"INSERT INTO @s@.stored_events SELECT 0, originator_id, 99, "
    f"topic, state, event_id, recorded_at, metadata, leaf FROM {_COPY}",
    "the head's position": "UPDATE @s@.log_head SET position = 20",
    "the head's frontier": "UPDATE @s@.log_head SET frontier = sha256(frontier)",
    "the head's time": "UPDATE @s@.log_head SET recorded_at = recorded_at + 400000000000000",
    "no head": "DELETE FROM @s@.log_head",
    "a lower version": "UPDATE @s@.log_head SET version = 0",
    "a step's time": "UPDATE @s@.as_of_steps SET as_of = as_of - 1",
    "a step's position": "UPDATE @s@.as_of_steps SET position = position + 1",
    "another step": "INSERT INTO @s@.as_of_steps VALUES (1, 1)",
    "steps that descend": "INSERT INTO @s@.as_of_steps VALUES (1, 29)",
    "no steps": "DELETE FROM @s@.as_of_steps",
    "a settled future": "UPDATE @s@.settled SET until = 4000000000000000",
    "nothing settled": "DELETE FROM @s@.settled",
    "a mark of a spool": "UPDATE @s@.drained SET position = 99",
    "a trigger": "CREATE FUNCTION @s@.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; "
    "END'; CREATE TRIGGER mine BEFORE INSERT ON @s@.stored_events FOR EACH ROW EXECUTE FUNCTION "
    "@s@.f()",
    "a rule": "CREATE RULE mine AS ON INSERT TO @s@.stored_events DO INSTEAD NOTHING",
    "row security": "ALTER TABLE @s@.stored_events ENABLE ROW LEVEL SECURITY",
    "versions that are not unique": "ALTER TABLE @s@.stored_events DROP CONSTRAINT "
    "stored_events_version",
    "a table that is gone": "DROP TABLE @s@.as_of_steps",
}


@pytest.fixture(scope="module")
def whole(server: Server) -> Iterator[PostgresLog]:
    """A log of which some events count earlier than they were recorded."""
    schema = f"test_{os.urandom(8).hex()}"
    clock = ServerClock(server, schema)
    with closing(log_at(server.uri(schema))) as log, closing(clock):
        clock.take_over()
        for first in range(1, EVENTS, 3):
            clock.now += 1_000 if first != 16 else -1_500
            drained = Drained("w", 1, first) if first == 4 else None
            log.append(new_events("run/r", range(first, first + 3)), drained=drained)
        yield log


def test_a_log_that_nobody_touched_holds(whole: PostgresLog) -> None:
    assert verify_log(whole).findings == ()


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_sql_changes_is_found(name: str, server: Server, whole: PostgresLog) -> None:
    schema = whole.connections.address.schema
    copied = f"test_{os.urandom(8).hex()}"
    copy = log_at(server.uri(copied))
    for table in ("stored_events", "log_head", "as_of_steps", "settled", "drained"):
        server.execute(f"DELETE FROM {copied}.{table}")
        server.execute(f"INSERT INTO {copied}.{table} SELECT * FROM {schema}.{table}")

    with closing(copy) as log:
        assert verify_log(log).holds
        server.execute(MUTATIONS[name].replace("@s@", copied))
        try:
            found = verify_log(log).findings
        except Exception as error:
            assert copied in str(error) or "restore" in str(error)
        else:
            assert found, name


def test_the_tree_is_the_same_whatever_the_sizes_of_batches(server: Server, schema: str) -> None:
    """The server hashes small levels and large ones in two ways."""
    with closing(log_at(server.uri(schema))) as log:
        for number, size in enumerate((1, 126, 127, 128, 129, 2, 255, 256, 257, 600, 3)):
            log.append(new_events(f"run/{number}", range(1, size + 1)))
            head = log.head()
            assert head.frontier == Frontier().extended(log.read_leaves(LogQuery()))

        assert verify_log(log).holds


def test_the_command_names_a_changed_event(team: Team, tmp_path: Path) -> None:
    uri = team.uri(team.auditor)
    runlore("audit", "verify", "-w", uri, cwd=tmp_path)
    execute = team.server.execute
    [(state,)] = execute(f"SELECT state FROM {team.schema}.stored_events WHERE notification_id = 3")
    change = f"UPDATE {team.schema}.stored_events SET state = %s WHERE notification_id = 3"
    execute(change, b"\x80")
    try:
        ran = in_this_process("audit", "verify", "-w", uri, cwd=tmp_path)
    finally:
        execute(change, state)

    assert ran.code == 1
    assert [finding["first"] for finding in ran.data["findings"]] == [3]
    runlore("audit", "verify", "-w", uri, cwd=tmp_path)
