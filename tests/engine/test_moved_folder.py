"""A workspace whose folder is moved, removed or restored while a process has it open.

Each case runs with and without a fork: after one, the process opens the log anew.
"""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.storage.held_folder import FolderMoved
from runlore.workspace import session_of
from tests.processes import LIMIT_S, in_child, start_python
from tests.workspaces import start

pytestmark = [
    pytest.mark.long,
    pytest.mark.processes,
    pytest.mark.on_disk,
    pytest.mark.filterwarnings("ignore:the folder .* while it was open:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:the end of run:RuntimeWarning"),
]

ANOTHER = """
import sys
from runlore import Experiment, Workspace
with Workspace.create("lab", path=sys.argv[1]) as ws:
    run = Experiment(ws, "e").start_logging(outputs=False, snapshot_directory=None, run_id="other")
    run.log("y", 1.0)
    run.complete()
"""
READ = """
import json, sys
from runlore import Experiment, Workspace
with Workspace.open(sys.argv[1]) as ws:
    runs = {
        run.id: [run.get_status(), run.get_metrics(), sorted(run.get_tags())]
        for run in Experiment(ws, "e").get_runs()
    }
    print(json.dumps([runs, ws.audit.verify().holds]))
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return tmp_path / "lab"


@pytest.fixture
def run(lab: Path) -> Iterator[Run]:
    """A run that trains while its workspace is moved, with a value on disk."""
    workspace = Workspace.create("lab", path=lab)
    run = start(Experiment(workspace, "e"), run_id="training")
    run.log("loss", 1.0)
    run.flush()
    run.tag("before")
    yield run
    workspace.close()
    gc.collect()


def fork(forks: bool) -> None:
    if forks:
        in_child(lambda: None)  # As a data loader does it.


def another_workspace(folder: Path) -> dict[str, bytes]:
    """The content of a workspace that another process makes there."""
    with start_python(ANOTHER, folder) as process:
        assert process.wait(LIMIT_S) == 0
    return content_of(folder)


def found_in(folder: Path) -> tuple[dict[str, list[object]], bool]:
    """Status, metrics and tags of all runs, as another process finds them; and what verify says."""
    with start_python(READ, folder) as process:
        runs, holds = json.loads(process.communicate(timeout=LIMIT_S)[0])
    return runs, holds


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


CHANGES: list[Callable[[Run], object]] = [
    lambda run: run.tag("after"),
    lambda run: run.flush(),
    lambda run: run.get_status(),
    lambda run: run.get_metrics(),
    lambda run: list(run.experiment.get_runs()),
    lambda run: run.add_properties({"a": "b"}),
    lambda run: run.upload_file("code.py", __file__),
    lambda run: start(run.experiment),
]


@pytest.mark.parametrize("forks", [False, True])
@pytest.mark.parametrize("replaced", [False, True])
def test_what_is_logged_and_ended_in_a_moved_folder_is_found_there(
    run: Run, lab: Path, tmp_path: Path, forks: bool, replaced: bool
) -> None:
    moved = tmp_path / "lab-2025"
    lab.rename(moved)
    before = another_workspace(lab) if replaced else None
    fork(forks)

    run.log("loss", 0.5)  # A training does not end because somebody tidies up.
    for change in CHANGES:
        with pytest.raises(FolderMoved, match="lab-2025"):
            change(run)
    run.complete()
    run.experiment.workspace.close()

    if before is None:
        assert not lab.exists()
    else:
        assert content_of(lab) == before
        assert found_in(lab) == ({"other": ["Completed", {"y": 1.0}, []]}, True)
    assert found_in(moved) == (
        {"training": ["Completed", {"loss": [1.0, 0.5]}, ["before"]]},
        True,
    )


@pytest.mark.parametrize("forks", [False, True])
def test_a_process_goes_on_when_the_folder_is_put_back(
    run: Run, lab: Path, tmp_path: Path, forks: bool
) -> None:
    lab.rename(tmp_path / "moved")
    fork(forks)
    run.log("loss", 0.5)
    with pytest.raises(FolderMoved):
        run.tag("after")
    (tmp_path / "moved").rename(lab)

    run.tag("again")
    run.log("loss", 0.25)
    run.complete()

    assert run.get_status() == "Completed"
    assert run.get_metrics() == {"loss": [1.0, 0.5, 0.25]}
    run.experiment.workspace.close()
    assert found_in(lab) == (
        {"training": ["Completed", {"loss": [1.0, 0.5, 0.25]}, ["again", "before"]]},
        True,
    )


@pytest.mark.parametrize("forks", [False, True])
def test_nothing_is_acknowledged_in_a_folder_that_was_removed(
    run: Run, lab: Path, forks: bool
) -> None:
    shutil.rmtree(lab)
    fork(forks)
    run.log("loss", 0.5)
    for change in [*CHANGES, Run.complete, Run.fail]:
        with pytest.raises(FolderMoved, match="removed"):
            change(run)
    run.experiment.workspace.close()
    assert not lab.exists()


@pytest.mark.parametrize("forks", [False, True])
def test_a_backup_that_is_put_back_is_left_alone(
    run: Run, lab: Path, tmp_path: Path, forks: bool
) -> None:
    shutil.copytree(lab, tmp_path / "backup")
    run.tag("lost")
    shutil.rmtree(lab)
    shutil.copytree(tmp_path / "backup", lab)
    before = content_of(lab)
    fork(forks)

    run.log("loss", 0.5)
    for change in [*CHANGES, Run.complete]:
        with pytest.raises(FolderMoved):
            change(run)
    run.experiment.workspace.close()

    assert content_of(lab) == before


def test_a_moved_workspace_is_opened_where_it_is_also_in_the_same_process(
    run: Run, lab: Path, tmp_path: Path
) -> None:
    lab.rename(tmp_path / "moved")
    another_workspace(lab)
    with Workspace.open(tmp_path / "moved") as moved, Workspace.open(lab) as other:
        logs = {session_of(one).log for one in (moved, other, run.experiment.workspace)}
        assert len(logs) == 3
        Experiment(moved, "e").tag("here")
        assert [one.id for one in Experiment(other, "e").get_runs()] == ["other"]
        with pytest.raises(FolderMoved):
            run.tag("there")
    with Workspace.open(tmp_path / "moved") as moved:
        assert moved.audit.verify().holds


def test_a_process_that_ends_in_a_moved_folder_leaves_its_end_there(
    lab: Path, tmp_path: Path
) -> None:
    code = """
import os, runlore, sys
run = runlore.init("e", workspace=sys.argv[1])
run.log("loss", 1.0)
os.rename(sys.argv[1], sys.argv[2])
run.log("loss", 0.5)
run.complete()
"""
    with start_python(code, lab, tmp_path / "moved") as process:
        assert process.wait(LIMIT_S) == 0
    assert not lab.exists()
    runs, holds = found_in(tmp_path / "moved")
    [[status, metrics, _]] = runs.values()
    assert (status, metrics, holds) == ("Completed", {"loss": [1.0, 0.5]}, True)
