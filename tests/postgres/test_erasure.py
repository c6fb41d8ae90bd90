"""Erasing runs of a workspace in PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.audit.verify import verify_folder
from runlore.exceptions import ErasureIncomplete, RunGone
from runlore.storage.seal import NO_KEY
from runlore.workspace import session_of
from tests.postgres.server import Server
from tests.postgres.teams import make_team
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
