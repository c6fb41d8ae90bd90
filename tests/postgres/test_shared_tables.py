"""Tables that one machine publishes, and another one far behind starts from."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Workspace
from runlore.cli import main
from runlore.projections import shared_tables
from runlore.workspace import session_of
from tests.postgres.server import Server
from tests.workspaces import start

pytestmark = pytest.mark.processes

QUERY = "SELECT run_id, metric, step, value FROM metric_points ORDER BY ALL"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes this process one of a machine: with a cache of its own, and shared artifacts."""
    (tmp_path / "shared").mkdir()
    settings = tmp_path / "config" / "runlore" / "config.json"
    settings.parent.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(shared_tables, "FAR", 10)

    def become(name: str, workspace_id: str | None = None) -> None:
        folder = tmp_path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        monkeypatch.setenv("RUNLORE_CACHE_DIR", str(folder))
        if workspace_id is not None:
            told = {"artifacts": {workspace_id: str(tmp_path / "shared")}}
            settings.write_text(json.dumps(told))
            settings.chmod(0o600)

    yield become


def fill(ws: Workspace) -> None:
    for number in range(6):
        run = start(Experiment(ws, "e"))
        run.log("loss", float(number))
        run.complete()


def asked(ws: Workspace) -> tuple[list[Any], int]:
    """What a query answers, and how many events were read for it."""
    answer = ws.sql(QUERY, isolated=False).fetchall()
    return answer, session_of(ws).reader().projection.events_read


def published(uri: str) -> dict[str, Any]:
    assert main(["cache", "publish", "-w", uri]) == 0
    with Workspace.open(uri) as ws:
        [event] = ws.events(topics="workspace.tables_published")
        assert event.data is not None
        return dict(event.data)


def test_a_machine_that_is_far_behind_starts_from_what_another_one_published(
    server: Server, schema: str, machine: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = server.uri(schema)
    machine("north")
    with Workspace.create("team", path=uri) as ws:
        machine("north", ws.get_details()["workspaceid"])
        fill(ws)
        expected, read = asked(ws)
        assert read >= ws.position - 1
    told = published(uri)
    assert json.loads(capsys.readouterr().out) == told

    machine("south")
    with Workspace.open(uri) as ws:
        fill(ws)
        answer, read = asked(ws)
        assert answer[: len(expected)] != [] and set(expected) <= set(answer)
        assert len(answer) == 2 * len(expected)
        assert read <= ws.position - told["position"]
        assert ws.audit.replay().holds


def test_what_is_not_as_the_event_says_is_passed_over(
    server: Server, schema: str, machine: Any, tmp_path: Path
) -> None:
    uri = server.uri(schema)
    machine("north")
    with Workspace.create("team", path=uri) as ws:
        machine("north", ws.get_details()["workspaceid"])
        fill(ws)
        expected, _ = asked(ws)
    told = published(uri)
    [packed] = [path for path in (tmp_path / "shared").rglob(told["sha256"]) if path.is_file()]
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 1
    packed.chmod(0o600)
    packed.write_bytes(content)

    machine("south")
    with Workspace.open(uri) as ws:
        answer, read = asked(ws)
        assert answer == expected
        assert read >= told["position"]


@pytest.mark.parametrize(
    "name", ["../outside", "/tmp/outside", "segments/../../outside", "other", "segments/x.parquet"]
)
def test_only_files_of_a_generation_are_unpacked(name: str, tmp_path: Path) -> None:
    file = tmp_path / "packed"
    with tarfile.open(file, "w") as packed:
        member = tarfile.TarInfo(name)
        member.size = 1
        packed.addfile(member, io.BytesIO(b"x"))
    (tmp_path / "into").mkdir()

    with pytest.raises(tarfile.TarError, match="no file of a generation"):
        shared_tables._unpack(file, tmp_path / "into")

    assert {path.name for path in tmp_path.iterdir()} == {"packed", "into"}
    assert os.listdir(tmp_path / "into") == ["segments"]


def test_tables_of_a_folder_are_not_shared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Workspace.create("lab", path=tmp_path / "lab").close()

    assert main(["cache", "publish", "-w", str(tmp_path / "lab")]) == 1

    assert "only those of a workspace on a server" in capsys.readouterr().err
