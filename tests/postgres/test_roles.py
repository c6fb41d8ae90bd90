"""Who may do what in a workspace on a server."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.audit.audited import audited_folder
from runlore.domain.errors import InvalidInput, RunloreError
from runlore.domain.fact import utc_time
from runlore.storage import open_log
from runlore.storage.errors import LogReadOnly, NotALog
from runlore.storage.log_opener import Rights
from runlore.storage.open_log import locate
from runlore.storage.postgresql.rights import READS, WRITES
from runlore.testing.logs import all_rows, new_event
from tests.cli.shell import in_this_process, runlore
from tests.postgres.logs import log_at
from tests.postgres.server import Server
from tests.postgres.teams import Team, new_role
from tests.studio.asking import served
from tests.workspaces import start

pytestmark = pytest.mark.processes

OF_THE_OWNER = {
    *("is_map", "is_deep_map", "with_entries", "entry", "extended", "newest_version"),
}
"""Functions that nobody else may call."""


def grant(team: Team, role: str, rights: str, by: str | None = None) -> None:
    open_log.grant(locate(team.uri(by or team.owner)), role, Rights(rights))


def functions(server: Server, schema: str, role: str) -> set[str]:
    """The functions that a role may call."""
    rows = server.execute(
        "SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
        "WHERE nspname = %s AND has_function_privilege(%s, p.oid, 'EXECUTE')",
        *(schema, role),
    )
    return {name for (name,) in rows}


def test_each_function_is_for_readers_for_writers_or_for_the_owner(team: Team) -> None:
    mine = functions(team.server, team.schema, team.owner)

    assert mine == {*READS, *WRITES} | OF_THE_OWNER
    assert functions(team.server, team.schema, team.writer) == {*READS, *WRITES}
    assert functions(team.server, team.schema, team.reader) == {*READS}
    assert functions(team.server, team.schema, team.auditor) == {*READS}


def test_a_writer_logs_and_ends_runs_under_its_own_name(team: Team) -> None:
    with Workspace.open(team.uri(team.writer)) as ws:
        run = start(Experiment(ws, "e"))
        run.log("loss", 0.5)
        run.tag("a", "b")
        run.complete()
        assert run.get_metrics() == {"loss": 0.5}
        last = ws.position

    with closing(log_at(team.uri(team.owner))) as log:
        assert team.writer.encode() in (all_rows(log)[last - 1].metadata or b"")


@pytest.mark.parametrize("kind", ["reader", "auditor"])
def test_readers_see_everything_and_write_nothing(kind: str, team: Team, tmp_path: Path) -> None:
    uri = team.uri(getattr(team, kind))
    with audited_folder(uri) as audited:
        before = audited.log.last_position()

    with Workspace.open(uri) as ws:
        assert ws.get_run("first").get_metrics() == {"loss": 1.0}
        assert ws.get_run("first").get_tags()["by"] == "owner"
        assert ws.as_of(2).position == 2
        for refused in (
            lambda: start(Experiment(ws, "e")),
            lambda: ws.get_run("first").tag("by", kind),
            lambda: Experiment(ws, "new").tag("a", "b"),
        ):
            with pytest.raises(LogReadOnly, match="runlore workspace grant"):
                refused()
        with served(ws) as studio:
            assert studio.get("/api/workspace")["role"] == "viewer"
            assert studio.get("/api/runs/first")["status"] == "Completed"
    shown = runlore("run", "list", "-w", uri, "-e", "e", "--output", "json", cwd=tmp_path).data
    assert "first" in json.dumps(shown)
    verified = runlore("audit", "verify", "-w", uri, cwd=tmp_path)
    assert verified.code == 0
    runlore("audit", "replay", "-w", uri, cwd=tmp_path)

    with audited_folder(uri) as audited:
        assert audited.log.last_position() == before


def test_a_reader_asks_about_times_before_the_last_event_and_later_ones_by_position(
    team: Team, tmp_path: Path
) -> None:
    uri = team.uri(team.reader)
    with closing(log_at(team.uri(team.owner))) as log:
        first, last = all_rows(log)[0], all_rows(log)[-1]
    with Workspace.open(uri) as ws:
        assert ws.as_of(utc_time(first.recorded_at - 1)).position == 0
        within = ws.as_of(utc_time(last.recorded_at - 1))
        assert 0 < within.position < last.position
        assert within.get_run("first").get_tags() == {"by": "owner"}
        for later in (utc_time(last.recorded_at), datetime.now(UTC)):
            with pytest.raises(LogReadOnly, match=f"use the log's last position, {last.position}"):
                ws.as_of(later)
        assert ws.as_of(last.position).get_run("first").get_status() == "Completed"
    asking = ("run", "show", "-r", "first", "-w", uri, "--as-of")
    told = in_this_process(*asking, datetime.now(UTC).isoformat(), cwd=tmp_path)
    assert told.code != 0
    assert f"use the log's last position, {last.position}" in " ".join(told.err.split())
    assert runlore(*asking, str(last.position), cwd=tmp_path).data["status"] == "Completed"


def test_the_command_says_what_was_given(team: Team, tmp_path: Path) -> None:
    role, options = new_role(team.server, "told"), ("-w", team.uri(team.owner))
    for rights, may in (("writer", "append"), ("reader", "write nothing"), ("nobody", "nothing")):
        ran = runlore("workspace", "grant", *options, "--role", role, "--as", rights, cwd=tmp_path)
        assert ran.data["role"] == role
        assert ran.data["as"] == rights
        assert may in ran.data["may"]

    with pytest.raises(LogReadOnly, match="runlore workspace grant"):
        log_at(team.uri(role)).last_position()


def test_a_writer_that_is_made_a_reader_writes_no_more(team: Team) -> None:
    role = new_role(team.server, "changing")
    grant(team, role, "writer")
    with closing(log_at(team.uri(role))) as log:
        assert log.may_write
        log.append([new_event(f"run/{role}")])
        grant(team, role, "reader")

        assert not log.may_write
        with pytest.raises(LogReadOnly):
            log.append([new_event(f"run/{role}", 2)])
        assert len(log.read_stream(f"run/{role}")) == 1


def test_rights_last_when_they_are_given_again(team: Team) -> None:
    grant(team, team.writer, "writer")
    grant(team, team.writer, "writer")

    assert functions(team.server, team.schema, team.writer) == {*READS, *WRITES}


def test_only_the_owner_gives_rights(team: Team) -> None:
    role = new_role(team.server, "hoping")
    for by in (team.writer, team.reader, role):
        with pytest.raises(LogReadOnly, match="only the owner"):
            grant(team, role, "writer", by=by)

    assert functions(team.server, team.schema, role) == set()


def test_a_role_that_could_do_more_is_refused(team: Team) -> None:
    server = team.server
    member, strong, inside = (new_role(server, kind) for kind in ("member", "strong", "inside"))
    server.execute(f"GRANT {team.owner} TO {member}")
    server.execute(f"ALTER ROLE {strong} SUPERUSER")
    server.execute(f"GRANT pg_write_all_data TO {inside}")
    server.execute(f"ALTER ROLE {inside} NOINHERIT")
    under = new_role(server, "under")
    server.execute(f"GRANT {team.writer} TO {under}")

    for role, why in (
        (member, "owns the schema"),
        (team.owner, "owns the schema"),
        (strong, "superuser"),
        (inside, "may change tables"),
        (under, "may call append, beat, "),
    ):
        with pytest.raises(InvalidInput, match=why):
            grant(team, role, "reader")
    with pytest.raises(InvalidInput, match="may call"):
        grant(team, under, "nobody")
    grant(team, under, "writer")


def test_a_grant_without_effect_is_an_error(team: Team) -> None:
    server, role = team.server, new_role(team.server, "half")
    server.execute(f"CREATE TABLE {team.schema}.others ()")  # The superuser's, not the owner's.
    try:
        with pytest.raises(LogReadOnly, match=r"others|did not get"):
            grant(team, role, "reader")
    finally:
        server.execute(f"DROP TABLE {team.schema}.others")

    assert functions(server, team.schema, role) == set()


def test_names_of_roles_are_quoted(team: Team) -> None:
    role = 'o"; DROP TABLE x; --é'
    team.server.execute('CREATE ROLE "o""; DROP TABLE x; --é" LOGIN')

    grant(team, role, "reader")

    assert functions(team.server, team.schema, role) == {*READS}
    for odd in ("", "nobody here", "a\0b", "\ud800", "PUBLIC", "x" * 200):
        with pytest.raises(InvalidInput, match="no role"):
            grant(team, odd, "reader")


def test_where_there_are_no_roles(server: Server, schema: str, tmp_path: Path) -> None:
    with pytest.raises(NotALog, match="create the workspace first"):
        open_log.grant(locate(server.uri(schema)), "postgres", Rights.READER)
    with Workspace.create("folder", path=tmp_path / "folder", show_output=False):
        pass
    with pytest.raises(RunloreError, match="the rights of its files"):
        open_log.grant(locate(tmp_path / "folder"), "postgres", Rights.READER)


def test_an_upgrade_gives_roles_the_rights_of_new_functions(
    server: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader, nobody = (new_role(server, kind) for kind in ("old", "seeing", "none"))
    with monkeypatch.context() as earlier:
        earlier.setattr("runlore.storage.postgresql.schema.VERSION", 1)
        log_at(server.uri(schema)).close()
    server.execute(f"GRANT USAGE ON SCHEMA {schema} TO {writer}, {reader}")
    server.execute(f"GRANT SELECT ON {schema}.stored_events TO {writer}, {reader}")
    server.execute(f"GRANT EXECUTE ON FUNCTION {schema}.append TO {writer}")

    log_at(server.uri(schema)).close()

    assert functions(server, schema, writer) == {*READS, *WRITES}
    assert functions(server, schema, reader) == {*READS}
    assert functions(server, schema, nobody) == set()
