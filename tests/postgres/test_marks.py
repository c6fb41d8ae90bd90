"""What a writer's role cannot do beside events: mark the spools of others, close the log to all."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

import psycopg
import pytest

from runlore import Experiment, Workspace
from runlore.domain.events import LOG_VERSION
from runlore.exceptions import LogReadOnly
from runlore.storage.event_log import Drained
from runlore.storage.log_opener import Rights
from runlore.storage.open_log import grant, locate
from runlore.storage.postgresql import schema as tables
from runlore.testing.logs import all_rows, asking_for, new_event
from runlore.workspace import session_of
from tests.postgres.logs import log_at
from tests.postgres.server import Server
from tests.postgres.teams import Team, make_team, new_role
from tests.workspaces import start

pytestmark = pytest.mark.processes

NO_EVENTS = ("{}", "{}", "{}", "{}", "{}", "{}", "{}")


def mark(role: psycopg.Connection[Any], team: Team, writer: str, slot: int = 10**6) -> None:
    """Say by SQL, as a role, that so much of a writer's spool is in the log."""
    given = [*NO_EVENTS, 1, LOG_VERSION, writer, 1, slot, 1000]
    casts = "%s::text[], %s::bigint[], %s::text[], %s::bytea[], %s::bytea[], %s::bytea[], %s::int[]"
    text = f"SELECT {team.schema}.append({casts}, %s, %s, %s, %s, %s, %s)"
    role.execute(text.encode(), given)


@pytest.fixture
def other(team: Team) -> str:
    """Another role that writes."""
    name = new_role(team.server, "other")
    grant(locate(team.uri(team.owner)), name, Rights.WRITER)
    return name


def test_a_writer_cannot_say_that_values_of_others_are_in_the_log(team: Team, other: str) -> None:
    with Workspace.open(team.uri(other)) as ws:
        run = start(Experiment(ws, "e"))  # It has introduced itself, and no value is in the log.
        writer = session_of(ws).journal.writer_id
        with (
            team.connect(team.writer) as role,
            pytest.raises(psycopg.Error, match=f"are those of role {other}") as refused,
        ):
            mark(role, team, writer)
        assert refused.value.sqlstate == "RL006"
        assert writer not in session_of(ws).log.drained_marks()

        run.log("loss", 0.5)
        run.complete()
        assert run.get_metrics() == {"loss": 0.5}
        with team.connect(team.writer) as role, pytest.raises(psycopg.Error, match="RL006|role"):
            mark(role, team, writer)
        assert session_of(ws).log.drained_marks()[writer].slot < 10**6


def test_who_marks_a_spool_first_keeps_it_and_the_owner_may_mark_all(
    team: Team, other: str
) -> None:
    writer = os.urandom(16).hex()
    with (
        closing(log_at(team.uri(team.writer))) as own,
        closing(log_at(team.uri(other))) as others,
        closing(log_at(team.uri(team.owner))) as owners,
    ):
        own.append([new_event(f"run/{writer}", 1)], drained=Drained(writer, 1, 1))
        before = all_rows(own)
        with pytest.raises(LogReadOnly, match=f"are those of role {team.writer}: let that role"):
            others.append([new_event(f"run/{writer}", 2)], drained=Drained(writer, 1, 2))
        assert all_rows(own) == before
        own.append([new_event(f"run/{writer}", 2)], drained=Drained(writer, 1, 2))
        owners.append([new_event(f"run/{writer}", 3)], drained=Drained(writer, 1, 3))
        assert own.drained_marks()[writer].slot == 3


@pytest.mark.parametrize("version", [LOG_VERSION + 1, 1_000_000, 2**31 - 1])
def test_a_writer_cannot_close_the_log_to_others_by_a_newer_version(
    team: Team, version: int
) -> None:
    with closing(log_at(team.uri(team.writer))) as log:
        with pytest.raises(LogReadOnly, match="let the owner of the schema open the workspace"):
            log.append([asking_for(version, f"run/{version}")])

        log.append([new_event(f"run/{version}")])
        assert log.version <= LOG_VERSION


def test_the_owner_may_write_what_a_newer_runlore_needs(server: Server, schema: str) -> None:
    with closing(log_at(server.uri(schema))) as log:
        log.append([asking_for(LOG_VERSION + 1)])

        assert log.version == LOG_VERSION + 1


def test_the_tables_know_the_newest_version_of_this_runlore(server: Server, schema: str) -> None:
    """Whoever raises `LOG_VERSION` adds a migration that replaces the function."""
    log_at(server.uri(schema)).close()

    assert server.execute(f"SELECT {schema}.newest_version()") == [(LOG_VERSION,)]


@pytest.mark.parametrize("version", [2])
def test_writers_from_before_the_upgrade_are_protected_as_well(
    version: int, server: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(tables, "VERSION", version)
        team = make_team(server, schema)
        with Workspace.open(team.uri(team.writer)) as ws:
            run = start(Experiment(ws, "e"))
            writer = session_of(ws).journal.writer_id
            run.log("loss", 0.5)
            run.complete()
            forged = new_event(f"writer/{'f' * 32}")._replace(
                topic="writer.opened", metadata={"db_user": team.owner, "writer": "f"}
            )
            session_of(ws).log.append([forged])

    log_at(team.uri(team.owner)).close()

    found = dict(server.execute(f"SELECT writer_id, db_user FROM {schema}.writers"))
    assert found[writer] == team.writer
    assert found["f" * 32] == team.writer
    assert team.owner in found.values()
    other = new_role(server, "other")
    grant(locate(team.uri(team.owner)), other, Rights.WRITER)
    with team.connect(other) as role, pytest.raises(psycopg.Error, match="are those of role"):
        mark(role, team, writer)
    with closing(log_at(team.uri(team.writer))) as log:
        log.append([new_event("run/y")], drained=Drained(writer, 9, 9))
