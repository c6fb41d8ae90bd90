"""Files of runs on another disk, where this user says, and nobody else does."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest

import runlore
from runlore import Experiment, Run, ScriptRunConfig, Workspace
from runlore.domain.errors import InvalidInput
from runlore.storage import user_settings
from runlore.storage.artifact_backend import ArtifactMissing
from runlore.storage.artifact_places import ArtifactFolderMissing
from runlore.workspace import session_of
from tests.cli.shell import runlore as command
from tests.workspaces import project as project
from tests.workspaces import start


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setattr(user_settings, "_warned", set())


@pytest.fixture
def big(tmp_path: Path) -> Path:
    folder = tmp_path / "big"
    folder.mkdir()
    return folder


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return tmp_path / "lab"


def set_artifacts(tmp_path: Path, **by_name: Path) -> None:
    settings = tmp_path / "settings" / "runlore" / "config.json"
    settings.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.write_text(json.dumps({"artifacts": {k: str(v) for k, v in by_name.items()}}))
    settings.chmod(0o600)


def with_a_file(ws: Workspace, content: bytes = b"weights") -> Run:
    run = start(Experiment(ws, "e"), run_id="r")
    Path("w").write_bytes(content)
    run.upload_file("w", "w")
    return run


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.glob("??/*") if path.is_file()]


def read(ws: Workspace, target: Path) -> bytes:
    ws.get_run("r").download_file("w", target)
    return target.read_bytes()


def test_a_workspace_keeps_its_files_in_the_folder_that_it_is_created_with(
    lab: Path, big: Path, tmp_path: Path
) -> None:
    ws = Workspace.create("lab", path=lab, artifacts=big / "lab")
    with_a_file(ws)

    assert len(files_in(big / "lab")) == 1
    assert not (lab / "artifacts").exists()
    with Workspace.open(lab, artifacts=big / "lab") as again:
        assert read(again, tmp_path / "copy") == b"weights"


def test_without_the_folder_the_error_says_how_to_name_it(
    lab: Path, big: Path, tmp_path: Path
) -> None:
    with_a_file(Workspace.create("lab", path=lab, artifacts=big))

    with (
        Workspace.open(lab) as again,
        pytest.raises(ArtifactMissing, match=r"artifacts=PLACE.*settings"),
    ):
        read(again, tmp_path / "copy")


@pytest.mark.parametrize("by", ["folder", "id"])
def test_the_users_settings_say_where(lab: Path, big: Path, tmp_path: Path, by: str) -> None:
    with Workspace.create("lab", path=lab) as ws:
        name = str(lab) if by == "folder" else session_of(ws).workspace.workspace_id
    set_artifacts(tmp_path, **{name: big})

    with Workspace.open(lab) as ws:
        with_a_file(ws)

    assert len(files_in(big)) == 1
    assert not (lab / "artifacts").exists()
    command("audit", "export", "--to", str(tmp_path / "bundle"), "-w", str(lab), cwd=tmp_path)
    assert b"weights" in (tmp_path / "bundle").read_bytes()


def test_the_settings_find_a_folder_that_is_named_by_way_of_a_link(
    lab: Path, big: Path, tmp_path: Path
) -> None:
    Workspace.create("lab", path=lab).close()
    (tmp_path / "link").symlink_to(lab)
    set_artifacts(tmp_path, **{str(tmp_path / "link"): big})

    with Workspace.open(lab) as ws:
        with_a_file(ws)

    assert len(files_in(big)) == 1


def test_a_disk_that_is_not_mounted_is_told_and_nothing_else_fails(
    lab: Path, big: Path, tmp_path: Path
) -> None:
    with Workspace.create("lab", path=lab) as ws:
        with_a_file(ws).log("loss", 1.0)
    set_artifacts(tmp_path, **{str(lab): tmp_path / "unmounted"})

    with Workspace.open(lab) as ws:
        run = ws.get_run("r")
        assert run.get_metrics() == {"loss": 1.0}
        assert run.get_file_names() == ["w"]
        with pytest.raises(ArtifactFolderMissing, match="mount the disk"):
            run.upload_file("x", "w")
        assert not (tmp_path / "unmounted").exists()
        shutil.move(lab / "artifacts", tmp_path / "unmounted")  # It is mounted now.
        assert read(ws, tmp_path / "copy") == b"weights"


@pytest.mark.parametrize("given", ["missing/deep", "a-file"])
def test_a_folder_that_is_not_there_is_refused(lab: Path, tmp_path: Path, given: str) -> None:
    (tmp_path / "a-file").touch()

    with pytest.raises(InvalidInput, match="existing folder"):
        Workspace.create("lab", path=lab, artifacts=tmp_path / given)


def test_init_takes_the_folder_as_well(lab: Path, big: Path) -> None:
    with runlore.init("e", workspace=lab, artifacts=big) as run:
        Path("w").write_bytes(b"weights")
        run.upload_file("w", "w")

    assert len(files_in(big)) == 1


def test_a_pickled_workspace_keeps_its_folder(lab: Path, big: Path, tmp_path: Path) -> None:
    ws = Workspace.create("lab", path=lab, artifacts=big)
    with_a_file(ws)

    with pickle.loads(pickle.dumps(ws)) as again:
        assert read(again, tmp_path / "copy") == b"weights"


def test_the_id_does_not_lead_an_erasable_copy_to_the_originals_files(
    lab: Path, big: Path, tmp_path: Path
) -> None:
    """Else erasing a run of the copy would remove the original's files."""
    with Workspace.create("lab", path=lab, erasable=True) as ws:
        workspace_id = session_of(ws).workspace.workspace_id
    set_artifacts(tmp_path, **{workspace_id: big})

    with Workspace.open(lab) as ws:
        with_a_file(ws)

    assert list(big.iterdir()) == []
    assert (lab / "artifacts").exists()


def test_a_run_is_not_submitted_whose_supervisor_would_not_find_its_files(
    lab: Path, big: Path, project: Path
) -> None:
    ws = Workspace.create("lab", path=lab, artifacts=big)
    (project / "train.py").write_text("")

    with pytest.raises(InvalidInput, match=r'put \{"artifacts": '):
        Experiment(ws, "e").submit(ScriptRunConfig(".", script="train.py"))

    assert list(Experiment(ws, "e").get_runs()) == []


def test_erasing_a_run_removes_its_files_there(lab: Path, big: Path) -> None:
    with Workspace.create("lab", path=lab, erasable=True, artifacts=big) as ws:
        with_a_file(ws).complete()
        assert [path.name for path in big.iterdir()] == ["r"]

        ws.erase_run("r", reason="asked to")

    assert list(big.iterdir()) == []


@pytest.mark.processes
def test_a_submitted_run_keeps_its_files_where_the_settings_say(
    lab: Path, big: Path, tmp_path: Path, project: Path
) -> None:
    set_artifacts(tmp_path, **{str(lab): big})
    (project / "train.py").write_text("open('outputs/model', 'w').write('weights')")
    with Workspace.create("lab", path=lab) as ws:
        run = Experiment(ws, "e").submit(ScriptRunConfig(".", script="train.py"))

        run.wait_for_completion()

        assert "outputs/model" in run.get_file_names()
        run.download_file("outputs/model", tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "weights"
    assert not (lab / "artifacts").exists()
