from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.exceptions import SnapshotException, UserErrorException
from runlore.storage.git_info import forget_git_answers
from tests.fresh_python import run_python
from tests.workspaces import seen_again, start


def write(folder: Path, **files: str) -> None:
    """Files whose names have `_` for `/` and end in `.py`."""
    for name, content in files.items():
        path = folder / (name.replace("_", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def files_of(run: Run, folder: Path) -> dict[str, str]:
    with zipfile.ZipFile(run.restore_snapshot(path=folder)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def git(*arguments: str, cwd: Path) -> str:
    ran = subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e@x", *arguments],
        cwd=cwd,
        check=True,
        capture_output=True,
        text=True,
    )
    return ran.stdout.strip()


@pytest.fixture
def repository(project: Path) -> Path:
    """The working folder as a repository with one commit."""
    git("init", "--quiet", "--initial-branch", "trunk", cwd=project)
    git("remote", "add", "origin", "https://me:secret@example.com/code.git", cwd=project)
    write(project, train="print('hello')")
    git("add", ".", cwd=project)
    git("commit", "--quiet", "-m", "first", cwd=project)
    forget_git_answers()
    return project


# --- at the start -----------------------------------------------------------------------------


@pytest.mark.processes
def test_the_working_folder_is_kept_by_default_and_given_back(
    exp: Experiment, project: Path, tmp_path: Path
) -> None:
    write(project, train="print('hello')", lib_model="x = 1")

    run = exp.start_logging(outputs=False)
    write(project, train="print('changed later')")

    assert files_of(run, tmp_path) == {"lib/model.py": "x = 1", "train.py": "print('hello')"}
    assert run.get_snapshot_id() == run.get_properties()["ContentSnapshotId"]


@pytest.mark.processes
def test_another_folder_can_be_kept(exp: Experiment, project: Path, tmp_path: Path) -> None:
    write(project, src_train="here", elsewhere="not here")

    by_text = exp.start_logging(outputs=False, snapshot_directory="src")
    by_path = exp.start_logging(outputs=False, snapshot_directory=project / "src")

    assert files_of(by_text, tmp_path) == {"train.py": "here"}
    assert by_text.get_snapshot_id() == by_path.get_snapshot_id()


@pytest.mark.processes
def test_without_a_snapshot_nothing_is_kept_and_git_is_not_asked(
    exp: Experiment, repository: Path
) -> None:
    run = start(exp)

    assert run.get_snapshot_id() is None
    assert run.get_properties() == {}
    with pytest.raises(UserErrorException, match="has no snapshot; start_logging"):
        run.restore_snapshot()


@pytest.mark.processes
def test_an_unchanged_folder_is_the_same_snapshot(exp: Experiment, project: Path) -> None:
    write(project, train="1")
    first, second = (exp.start_logging(outputs=False).get_snapshot_id() for _ in range(2))
    write(project, train="2")
    third = exp.start_logging(outputs=False).get_snapshot_id()

    assert first == second != third


@pytest.mark.processes
def test_amlignore_counts_and_gitignore_then_does_not(
    exp: Experiment, project: Path, tmp_path: Path
) -> None:
    write(project, train="1", data="2", notes="3")
    (project / ".amlignore").write_text("data.py\n")
    (project / ".gitignore").write_text("notes.py\n")

    run = exp.start_logging(outputs=False)

    assert set(files_of(run, tmp_path)) == {".amlignore", ".gitignore", "notes.py", "train.py"}


@pytest.mark.processes
def test_gitignore_counts_where_there_is_no_amlignore(
    exp: Experiment, project: Path, tmp_path: Path
) -> None:
    write(project, train="1", data_big="2", data_small="3")
    (project / ".gitignore").write_text("data/*\n!data/small.py\n")

    run = exp.start_logging(outputs=False)

    assert set(files_of(run, tmp_path)) == {".gitignore", "data/small.py", "train.py"}


@pytest.mark.processes
def test_a_workspace_in_the_folder_is_never_kept(project: Path, tmp_path: Path) -> None:
    write(project, train="1")
    (project / ".env").write_text("TOKEN=secret")
    run = Experiment(Workspace.create("lab"), "e").start_logging(outputs=False)

    assert set(files_of(run, tmp_path)) == {"train.py"}


@pytest.mark.slow
def test_a_folder_that_is_too_large_is_refused_with_the_way_out(
    exp: Experiment, project: Path
) -> None:
    for number in range(2_001):
        (project / f"{number}.txt").write_text("")

    with pytest.raises(SnapshotException, match="2,001 files.*snapshot_directory=None") as raised:
        exp.start_logging()

    assert ".amlignore" in str(raised.value)
    assert not (project / "outputs").exists()
    assert list(exp.get_runs()) == []


@pytest.mark.parametrize("folder", ["missing", "train.py"])
def test_what_is_no_folder_is_refused(exp: Experiment, project: Path, folder: str) -> None:
    write(project, train="1")

    with pytest.raises(SnapshotException, match="is not a folder"):
        exp.start_logging(snapshot_directory=folder)

    assert list(exp.get_runs()) == []


def test_what_is_no_path_is_refused(exp: Experiment) -> None:
    with pytest.raises(TypeError, match="snapshot_directory must be a path or None, got 5"):
        exp.start_logging(snapshot_directory=5)  # type: ignore[arg-type]  # wrong on purpose


def test_in_a_workspaces_own_folder_no_snapshot_is_kept_and_it_is_said_once(
    project: Path,
) -> None:
    exp = Experiment(Workspace.create("lab", path="."), "e")

    with pytest.warns(UserWarning, match="is itself a runlore workspace") as caught:
        runs = [exp.start_logging(outputs=False) for _ in range(3)]

    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert [run.get_snapshot_id() for run in runs] == [None] * 3


def test_a_workspaces_folder_that_is_asked_for_by_name_is_refused(project: Path) -> None:
    exp = Experiment(Workspace.create("lab"), "e")

    with pytest.raises(SnapshotException, match="is itself a runlore workspace"):
        exp.start_logging(snapshot_directory="lab")


# --- git --------------------------------------------------------------------------------------


@pytest.mark.processes
def test_a_run_knows_the_commit_that_its_source_came_from(
    exp: Experiment, repository: Path
) -> None:
    properties = exp.start_logging(outputs=False).get_properties()

    del properties["ContentSnapshotId"]
    commit = git("rev-parse", "HEAD", cwd=repository)
    assert properties == {
        "azureml.git.repository_uri": "https://example.com/code.git",
        "azureml.git.branch": "trunk",
        "azureml.git.commit": commit,
        "azureml.git.dirty": "False",
        "mlflow.source.git.repoURL": "https://example.com/code.git",
        "mlflow.source.git.branch": "trunk",
        "mlflow.source.git.commit": commit,
    }


@pytest.mark.processes
def test_a_changed_source_is_dirty(exp: Experiment, repository: Path) -> None:
    write(repository, train="changed")

    assert exp.start_logging(outputs=False).get_properties()["azureml.git.dirty"] == "True"


@pytest.mark.processes
def test_git_is_asked_once_per_process_and_folder(folder_ws: Workspace, repository: Path) -> None:
    (repository.parent / "bin").mkdir()
    count = repository.parent / "calls"
    fake = repository.parent / "bin" / "git"
    fake.write_text(f'#!/bin/sh\necho "$*" >> {count}\nPATH=${{PATH#*:}} exec git "$@"\n')
    fake.chmod(0o755)

    run_python(
        f"""
import os, runlore
os.environ["PATH"] = {str(fake.parent)!r} + ":" + os.environ["PATH"]
exp = runlore.Experiment(runlore.Workspace.open({folder_ws.uri!r}), "e")
exp.start_logging(outputs=False, snapshot_directory=None)
assert not os.path.exists({str(count)!r}), "a run without a snapshot asked git"
exp.start_logging(outputs=False)
calls = os.path.getsize({str(count)!r})
for _ in range(3):
    run = exp.start_logging(outputs=False)
assert os.path.getsize({str(count)!r}) == calls
assert run.get_properties()["azureml.git.branch"] == "trunk"
""",
        cwd=repository,
    )


@pytest.mark.processes
def test_variables_override_what_git_says(
    exp: Experiment, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZUREML_GIT_BRANCH", "from the build")
    monkeypatch.setenv("AZUREML_GIT_BUILD_ID", "42")

    properties = exp.start_logging(outputs=False).get_properties()

    assert properties["azureml.git.branch"] == "from the build"
    assert properties["azureml.git.build_id"] == "42"


# --- by hand ----------------------------------------------------------------------------------


def test_a_snapshot_can_be_taken_later(run: Run, project: Path, tmp_path: Path) -> None:
    write(project, src_train="1")

    snapshot_id = run.take_snapshot("src")

    assert snapshot_id == run.get_snapshot_id() == seen_again(run).get_snapshot_id()
    assert run.get_properties() == {"ContentSnapshotId": snapshot_id}
    assert files_of(run, tmp_path) == {"train.py": "1"}


def test_a_second_snapshot_is_refused(run: Run, project: Path) -> None:
    write(project, src_train="1")
    first = run.take_snapshot("src")
    write(project, src_train="2")

    with pytest.raises(
        SnapshotException, match=f"^Cannot take snapshot as the run already has one: .*{first}"
    ):
        run.take_snapshot("src")

    assert run.get_snapshot_id() == first
    assert run.history()[-1].what == "change_refused"


def test_a_folder_that_cannot_be_kept_is_refused(run: Run, project: Path) -> None:
    with pytest.raises(SnapshotException, match="is not a folder"):
        run.take_snapshot("missing")

    assert run.get_snapshot_id() is None


def test_restore_gives_the_path_of_a_zip_named_like_the_snapshot(
    run: Run, project: Path, tmp_path: Path
) -> None:
    write(project, src_train="1")
    snapshot_id = run.take_snapshot("src")

    given = run.restore_snapshot(path="restored")
    temporary = run.restore_snapshot(snapshot_id)

    assert given == str(project / "restored" / f"{snapshot_id}.zip")
    assert Path(temporary).name == f"{snapshot_id}.zip"
    assert Path(temporary).read_bytes() == Path(given).read_bytes()


def test_restoring_another_runs_snapshot_is_refused(run: Run, project: Path) -> None:
    write(project, src_train="1")
    run.take_snapshot("src")

    with pytest.raises(UserErrorException, match="has snapshot .*, not other"):
        run.restore_snapshot("other")
