"""A log that was restored from a backup in its place, and files of runs that machines share."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from tests.postgres.server import Server
from tests.workspaces import start

pytestmark = pytest.mark.processes

TABLES = ("stored_events", "log_head", "drained", "as_of_steps", "settled", "outcomes")


def back_up(server: Server, schema: str) -> None:
    for table in TABLES:
        server.execute(f"CREATE TABLE {schema}.kept_{table} AS TABLE {schema}.{table}")


def restore(server: Server, schema: str) -> None:
    """As recovery to a point in time does: the same server and tables with what was there then."""
    for table in TABLES:
        server.execute(f"DELETE FROM {schema}.{table}")
        server.execute(f"INSERT INTO {schema}.{table} TABLE {schema}.kept_{table}")
        server.execute(f"DROP TABLE {schema}.kept_{table}")


def test_tables_of_a_log_that_was_restored_in_its_place_are_made_anew(
    server: Server, schema: str
) -> None:
    uri = server.uri(schema)
    with Workspace.create("team", path=uri) as ws:
        kept = start(Experiment(ws, "e"), display_name="kept")
        kept.complete()
        back_up(server, schema)
        start(Experiment(ws, "e"), display_name="gone").complete()
        assert ws.sql("SELECT count(*) FROM runs").fetchall() == [(2,)]

    restore(server, schema)
    with Workspace.open(uri) as ws:
        start(Experiment(ws, "e"), display_name="new").complete()
        names = ws.sql("SELECT display_name FROM runs ORDER BY number").fetchall()

    assert names == [("kept",), ("new",)]


def test_files_of_runs_are_shared_by_a_folder_that_the_settings_name(
    server: Server, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines: each with a folder of its own, and one that both have mounted."""
    uri, shared = server.uri(schema), tmp_path / "mounted"
    shared.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("RUNLORE_SPOOL_DIR", str(tmp_path / "north"))
    with Workspace.create("team", path=uri) as ws:
        settings = tmp_path / "config" / "runlore" / "config.json"
        settings.parent.mkdir(parents=True, mode=0o700)
        told = {"artifacts": {ws.get_details()["workspaceid"]: str(shared)}}
        settings.write_text(json.dumps(told))
        settings.chmod(0o600)
    with Workspace.open(uri) as ws:
        run = start(Experiment(ws, "e"))
        (tmp_path / "model.txt").write_text("weights")
        run.upload_file("model.txt", str(tmp_path / "model.txt"))
        run.complete()

    monkeypatch.setenv("RUNLORE_SPOOL_DIR", str(tmp_path / "south"))
    with Workspace.open(uri) as ws:
        ws.get_run(run.id).download_file("model.txt", str(tmp_path / "again.txt"))

    assert (tmp_path / "again.txt").read_text() == "weights"
    assert {path.name for path in tmp_path.iterdir()} >= {"north", "south"}
    assert os.listdir(shared)
