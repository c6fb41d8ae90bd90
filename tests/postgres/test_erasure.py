"""Erasing runs of a workspace in PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.audit.verify import verify_folder
from runlore.exceptions import ErasureIncomplete, RunGone
from runlore.storage.errors import NotALog
from runlore.storage.seal import NO_KEY
from runlore.workspace import session_of
from tests.postgres.server import Server
from tests.postgres.teams import Team, make_team
from tests.workspaces import start

pytestmark = pytest.mark.processes

SECRET = "the patient is Ann"


def test_an_erased_run_is_gone_from_the_server_and_from_tables(
    server: Server, schema: str, tmp_path: Path
) -> None:
    uri = server.uri(schema)
    with Workspace.create("team", path=uri, erasable=True) as ws:
        run = start(Experiment(ws, "e"), display_name=SECRET)
        run.log("diagnosis", 1.0)
        run.tag("note", SECRET)
        (tmp_path / "scan.txt").write_text(SECRET)
        run.upload_file("scan.txt", str(tmp_path / "scan.txt"))
        run.complete()
        key = session_of(ws).log.key_of(run.id)
        assert ws.sql("SELECT count(*) FROM metric_points").fetchall() == [(1,)]
        [(before,)] = server.execute(f"SELECT pg_relation_filenode('{schema}.run_keys')")

        ws.erase_run(run.id, reason="consent withdrawn")

        assert ws.sql("SELECT count(*) FROM metric_points").fetchall() == [(0,)]
        with pytest.raises(RunGone):
            run.tag("more", "data")
    assert server.execute(f"SELECT key FROM {schema}.run_keys") == [(NO_KEY,)]
    # The table was rewritten, so the old version of its row is not in the new file.
    [(now,)] = server.execute(f"SELECT pg_relation_filenode('{schema}.run_keys')")
    assert now != before
    stored = server.execute(f"SELECT state, metadata FROM {schema}.stored_events")
    assert key is not None and SECRET.encode() not in b"".join(
        part for row in stored for part in row if part
    )
    assert verify_folder(uri).holds


def test_who_does_not_own_the_schema_is_told_what_the_owner_must_do(
    server: Server, schema: str
) -> None:
    team = make_team(server, schema, erasable=True)
    with Workspace.open(team.uri(team.writer)) as ws:
        run = start(Experiment(ws, "e"))
        run.complete()
        with pytest.raises(ErasureIncomplete, match=r"VACUUM \(FULL\)"):
            ws.erase_run(run.id, reason="consent withdrawn", timeout_s=0.1)
        assert session_of(ws).log.key_of(run.id) is None


@pytest.fixture(scope="module")
def erased(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A workspace with the runs `first` and `kept`, and the run `gone` that was erased."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNLORE_SPOOL_DIR", str(tmp_path_factory.mktemp("owner")))
        team = make_team(server, f"erased_{os.urandom(8).hex()}", erasable=True)
        with Workspace.open(team.uri(team.owner)) as ws:
            for run_id in ("kept", "gone"):
                start(Experiment(ws, "e"), run_id=run_id).complete()
            ws.erase_run("gone", reason="consent was withdrawn")
        yield team


@pytest.fixture
def spoilt(erased: Team) -> Iterator[Team]:
    """The same, for a test to spoil: what lies beside the events is as before afterwards."""
    beside = ("run_keys", "erasures", "log_format")
    rows = {
        table: erased.server.execute(f"SELECT t::text FROM {erased.schema}.{table} AS t")
        for table in beside
    }
    yield erased
    for table in beside:
        erased.server.execute(
            f"ALTER TABLE IF EXISTS {erased.schema}.{table}_2 RENAME TO {table};"
            f"TRUNCATE {erased.schema}.{table}"
        )
        for (row,) in rows[table]:
            place = f"{erased.schema}.{table}"
            erased.server.execute(f"INSERT INTO {place} SELECT (%s::{place}).*", row)


def test_keys_that_fit_are_no_finding(erased: Team) -> None:
    assert verify_folder(erased.uri(erased.auditor)).log.findings == ()


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "UPDATE @s@.run_keys SET key = decode(repeat('00', 32), 'hex')",
            "no event says it was erased",
        ),
        ("UPDATE @s@.run_keys SET key = sha256('') WHERE run_id = 'kept'", "does not open"),
        ("UPDATE @s@.run_keys SET key = 'short' WHERE run_id = 'kept'", "does not open"),
        ("DELETE FROM @s@.run_keys WHERE run_id = 'kept'", "the key of its run is missing"),
        ("DELETE FROM @s@.run_keys WHERE run_id = 'gone'", "the key of its run is missing"),
        ("UPDATE @s@.run_keys SET key = sha256('') WHERE run_id = 'gone'", "has a key again"),
        ("DELETE FROM @s@.erasures", "tables may still show the run"),
        (
            "UPDATE @s@.erasures SET position = 1",
            "is recorded as erased at position 1, but no event",
        ),
        ("UPDATE @s@.erasures SET run_id = 'kept'", "run kept is recorded as erased"),
        ("UPDATE @s@.log_format SET is_erasable = false", "log_format, by which no run has a key"),
    ],
)
def test_keys_that_sql_changes_are_found_though_no_leaf_covers_them(
    spoilt: Team, statement: str, problem: str
) -> None:
    spoilt.server.execute(statement.replace("@s@", spoilt.schema))

    found = verify_folder(spoilt.uri(spoilt.auditor)).log.findings

    assert any(problem in one.message for one in found)


@pytest.mark.parametrize("table", ["run_keys", "erasures"])
def test_a_table_of_keys_that_is_gone_is_named(spoilt: Team, table: str) -> None:
    spoilt.server.execute(f"ALTER TABLE {spoilt.schema}.{table} RENAME TO {table}_2")

    with pytest.raises(NotALog, match=f"{table}. does not exist"):
        verify_folder(spoilt.uri(spoilt.auditor))


def test_a_log_without_keys_that_claims_to_have_them_is_found(server: Server, schema: str) -> None:
    team = make_team(server, schema)
    assert verify_folder(team.uri(team.auditor)).holds
    server.execute(f"UPDATE {schema}.log_format SET is_erasable = true")

    [found] = verify_folder(team.uri(team.auditor)).log.findings

    assert "the key of its run is missing" in found.message
