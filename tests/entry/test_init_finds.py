"""Which workspace and which run `runlore.init()` takes, by real processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import runlore
from runlore import ComputeTarget, Experiment, Run, Workspace
from runlore.domain.errors import ConfigConflict, WorkspaceNotFound
from runlore.exceptions import RunEnvironmentException
from runlore.testing.submitted import Project, printed
from tests.cli.shell import in_new_process
from tests.fresh_python import run_python
from tests.workspaces import start

INIT = "import runlore; run = runlore.init('e'); run.log('loss', 0.5); run.complete()"
WHERE = INIT + "; ws = run.experiment.workspace; print(ws.path, ws.name, sep='\\n')"


def runs_in(folder: Path) -> list[Run]:
    return list(Experiment(Workspace.open(folder), "e").get_runs())


# --- the folder's name and place say nothing ----------------------------------------------------


@pytest.mark.processes
@pytest.mark.parametrize("how", ["renamed", "moved", "copied"])
def test_a_project_that_is_elsewhere_goes_on(project: Path, tmp_path: Path, how: str) -> None:
    run_python(INIT, cwd=project)
    place = tmp_path / ("project-2025" if how == "renamed" else "deep/below/other")
    place.parent.mkdir(parents=True, exist_ok=True)
    if how == "copied":
        shutil.copytree(project, place)
    else:
        project.rename(place)

    assert run_python(WHERE, cwd=place).split() == [str(place / ".runlore"), "project"]
    assert len(runs_in(place / ".runlore")) == 2
    assert run_python(
        "import runlore; print(runlore.init('e', workspace='.runlore').experiment.workspace.name)",
        cwd=place,
    ) == "project\n"  # fmt: skip


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_project_that_is_mounted_elsewhere_goes_on(project: Path, tmp_path: Path) -> None:
    """As in a container: `-v host/project:/app`."""
    run_python(INIT, cwd=project)
    app = tmp_path / "app"
    app.mkdir()
    mounted = subprocess.run(["mount", "--bind", str(project), str(app)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        assert run_python(WHERE, cwd=app).split() == [str(app / ".runlore"), "project"]
    finally:
        subprocess.run(["umount", "--lazy", str(app)], check=True)

    assert len(runs_in(project / ".runlore")) == 2


def test_a_workspace_that_was_created_by_a_name_is_taken_by_its_folder(project: Path) -> None:
    Workspace.create("team", path="data/ws").close()

    assert runlore.init("e", workspace="data/ws").experiment.workspace.name == "team"


# --- which workspace --------------------------------------------------------------------------


@pytest.mark.processes
def test_a_script_in_a_folder_below_logs_into_the_workspace_of_the_project(project: Path) -> None:
    (project / "src" / "deep").mkdir(parents=True)

    for folder in (project, project / "src", project / "src" / "deep"):
        assert run_python(WHERE, cwd=folder).split()[0] == str(project / ".runlore")

    assert [path.name for path in (project / "src").iterdir()] == ["deep"]
    listed = in_new_process("run", "list", "-e", "e", cwd=project / "src")
    assert len(listed.data) == 3


def make(project: Path, kind: str) -> Path:
    """A workspace in a place where a search from `project/a/b` looks; return its folder."""
    match kind:
        case "config above":
            Workspace.create("lab", path=project / "data/lab").write_config(project)
            return project / "data/lab"
        case "folder above":
            Workspace.create("lab", path=project).close()
            return project
        case "workspace of init above":
            Workspace.create("lab", path=project / ".runlore").close()
            return project / ".runlore"
        case "config here":
            Workspace.create("lab", path=project / "data/here").write_config(project / "a/b")
            return project / "data/here"
        case "folder here":
            Workspace.create("lab", path=project / "a/b").close()
            return project / "a/b"
        case _:
            Workspace.create("lab", path=project / "a/b/.runlore").close()
            return project / "a/b/.runlore"


@pytest.mark.long
@pytest.mark.processes
def test_the_order_of_the_places(project: Path) -> None:
    """From the last one on, each new workspace comes before those that were there."""
    here = project / "a/b"
    here.mkdir(parents=True)
    explicit, named = project / "explicit", project / "named by the variable"

    for kind in (
        *("workspace of init above", "folder above", "config above"),
        *("workspace of init here", "folder here", "config here"),
    ):
        folder = make(project, kind)
        assert run_python(WHERE, cwd=here).splitlines()[0] == str(folder)
        shown = in_new_process("workspace", "show", cwd=here)
        assert shown.data["storageAccount"] == str(folder)

    uri = str(named)
    assert run_python(WHERE, cwd=here, RUNLORE_WORKSPACE_URI=uri).splitlines()[0] == str(named)
    given = WHERE.replace("init('e')", f"init('e', workspace={str(explicit)!r})")
    assert run_python(given, cwd=here, RUNLORE_WORKSPACE_URI=uri).splitlines()[0] == str(explicit)


def test_a_config_that_leads_nowhere_is_an_error(project: Path) -> None:
    """A new workspace beside the one that it means would hide that that one is missing."""
    Workspace.create("lab").write_config()
    shutil.rmtree(project / "lab")

    with pytest.raises(WorkspaceNotFound, match=r"config\.json points to .*lab, which is not"):
        runlore.init("e")


def test_azures_own_config_is_of_a_workspace_in_azure(project: Path) -> None:
    (project / ".azureml").mkdir()
    (project / ".azureml/config.json").write_text(
        json.dumps({"subscription_id": "s", "resource_group": "g", "workspace_name": "ml-prod"})
    )

    assert runlore.init("e").experiment.workspace.path == project / ".runlore"
    assert in_this_folder_the_command_finds(project) == project / ".runlore"


def in_this_folder_the_command_finds(project: Path) -> Path | None:
    from runlore.entry.workspace_address import open_workspace

    with open_workspace() as found:
        return found.path


@pytest.mark.parametrize("content", ['{"hidden_size": 768}', "{", "[]", '{"Path": 5}'])
def test_the_config_of_another_program_is_passed_over(project: Path, content: str) -> None:
    (project / "config.json").write_text(content)

    assert runlore.init("e").experiment.workspace.path == project / ".runlore"


def test_a_ceiling_ends_the_search(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace.create("lab", path=tmp_path / ".runlore").close()
    monkeypatch.setenv("RUNLORE_CEILING_DIRECTORIES", f"relative{os.pathsep}{tmp_path}")

    assert runlore.init("e").experiment.workspace.path == project / ".runlore"
    monkeypatch.chdir(tmp_path)
    assert runlore.init("e").experiment.workspace.path == tmp_path / ".runlore"


# --- the run that this process is -------------------------------------------------------------

SCRIPT = """
import runlore
with runlore.init("first-steps", config={"lr": 0.1}, tags={"by": "init"}) as run:
    for i in range(3):
        run.log("loss", 1 / (i + 1))
    print(run.id, run.get_status())
"""


@pytest.mark.processes
def test_a_submitted_script_logs_into_its_run(project: Path) -> None:
    """As a new user does it: attach, submit, ask."""
    (project / "train.py").write_text(SCRIPT)
    in_new_process("folder", "attach", "-w", "lab", "-e", "cli", cwd=project)
    in_new_process("run", "submit-script", "--query", "status", "train.py", cwd=project)

    query = (
        "select r.experiment, r.status, m.metric, m.n from runs r"
        " left join metrics m using (run_id)"
    )
    found = in_new_process("sql", query, "-o", "csv", cwd=project)
    assert found.out.splitlines() == ["experiment,status,metric,n", "cli,Completed,loss,3"]
    assert [path.parent.name for path in project.rglob("log.sqlite")] == ["lab"]


@pytest.mark.processes
@pytest.mark.parametrize("target", ["local", "pool"])
def test_on_each_target_config_and_tags_are_added_to_the_run(tmp_path: Path, target: str) -> None:
    at = Project(tmp_path / "submitted", target)
    if target == "pool":
        ComputeTarget.attach(at.ws, "pool", slots=1)

    run = at.ended(SCRIPT)

    assert run.get_status() == "Completed"
    assert run.get_metrics() == {"loss": [1.0, 0.5, 1 / 3]}
    assert run.get_tags() == {"by": "init"}
    assert run.get_config() == {"lr": 0.1}
    assert f"{run.id} Running" in printed(run)
    assert list(at.exp.get_runs()) == [run]
    assert list(at.ws.experiments) == ["explore-runs"]


@pytest.mark.processes
def test_the_supervisor_records_the_end_whatever_the_block_says(tmp_path: Path) -> None:
    at = Project(tmp_path / "submitted")
    code = "import runlore\nwith runlore.init('explore-runs') as run:\n    {}\n{}"

    ended = at.ended(code.format("pass", "raise SystemExit(3)"))
    failed = at.ended(code.format("1 / 0", ""))
    caught = at.ended(
        "import runlore\ntry:\n    with runlore.init() as run:\n        1 / 0\n"
        "except ZeroDivisionError:\n    pass\n"
    )

    assert ended.get_status() == "Failed"
    assert failed.get_status() == "Failed"
    assert "ZeroDivisionError" in str(failed.get_details()["error"])
    assert caught.get_status() == "Completed"


@pytest.mark.processes
def test_names_that_are_not_used_are_said_in_one_line(tmp_path: Path) -> None:
    at = Project(tmp_path / "submitted")

    run = at.ended("import runlore; runlore.init('other', workspace='results')")

    assert printed(run) == (
        f"runlore: init() joined run {run.id} of experiment 'explore-runs', which this process "
        "executes; experiment 'other' and workspace 'results' not used\n"
    )
    silent = at.ended(
        f"import runlore; runlore.init(); runlore.init('explore-runs', workspace={at.ws.uri!r})"
    )
    assert printed(silent) == ""


@pytest.mark.processes
def test_each_rank_of_a_distributed_script_joins(tmp_path: Path) -> None:
    from runlore.runconfig import MpiConfiguration

    at = Project(tmp_path / "submitted")
    code = "import os, runlore; runlore.init('x', config={'lr': 1}).log('rank', 1.0)"

    run = at.ended(code, distributed_job_config=MpiConfiguration(process_count_per_node=3))

    assert run.get_status() == "Completed", run.get_details_with_logs()
    assert run.get_metrics() == {"rank": [1.0, 1.0, 1.0]}


@pytest.fixture
def joined(folder_ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that this process executes, as a launcher says by variables."""
    run = start(Experiment(folder_ws, "e"))
    monkeypatch.setenv("RUNLORE_WORKSPACE_URI", folder_ws.uri)
    monkeypatch.setenv("RUNLORE_RUN_ID", run.id)
    return run


def test_init_gives_the_run_of_get_context(joined: Run) -> None:
    run = runlore.init("e", display_name="joined")

    assert run is Run.get_context()
    assert run == joined
    assert joined.display_name == "joined"
    assert runlore.init("e") is run


def test_a_config_of_other_values_is_refused(joined: Run) -> None:
    runlore.init("e", config={"lr": 0.1})
    runlore.init("e", config={"lr": 0.1})

    with pytest.raises(ConfigConflict, match="'lr'"):
        runlore.init("e", config={"lr": 0.2})


@pytest.mark.processes
def test_a_snapshot_is_taken_only_if_the_run_has_none(joined: Run, project: Path) -> None:
    (project / "train.py").write_text("")

    runlore.init("e", snapshot_directory=".")
    snapshot = joined.get_snapshot_id()
    (project / "more.py").write_text("")
    runlore.init("e", snapshot_directory=".")

    assert snapshot is not None
    assert joined.get_snapshot_id() == snapshot


def test_a_run_without_its_workspace_is_an_error(
    joined: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNLORE_WORKSPACE_URI")

    with pytest.raises(RunEnvironmentException, match="are not both set"):
        runlore.init("e")


# --- other ways to a workspace, in a submitted script ---------------------------------------------

WAYS_OF_SCRIPTS = {
    "create": "Workspace.create('lab', exist_ok=True)",
    "create by path": "Workspace.create('lab', path='data/lab', exist_ok=True)",
    "from_config": "Workspace.from_config()",
    "get": "Workspace.get('lab')",
    "constructor": "Workspace('', '', 'lab')",
}


@pytest.mark.processes
@pytest.mark.parametrize("way", WAYS_OF_SCRIPTS)
def test_a_submitted_script_finds_its_workspace_by_the_name(tmp_path: Path, way: str) -> None:
    """Its copy of the source has none; a new one in there would be removed with it."""
    at = Project(tmp_path / "submitted")
    at.ws.write_config(at.source)
    (at.source / ".azureml/config.json").write_text(
        (at.source / ".azureml/config.json").read_text().replace(f"{at.ws.path}", "lab")
    )

    run = at.ended(
        f"from runlore import *; ws = {WAYS_OF_SCRIPTS[way]}\n"
        "run = Experiment(ws, 'mine').start_logging(outputs=False, snapshot_directory=None)\n"
        "run.log('loss', 0.5); run.complete(); print(ws.path)"
    )

    assert printed(run) == f"{at.ws.path}\n"
    [mine] = Experiment(at.ws, "mine").get_runs()
    assert mine.get_metrics() == {"loss": 0.5}


@pytest.mark.processes
def test_a_workspace_that_will_be_removed_with_the_run_is_warned_of(tmp_path: Path) -> None:
    at = Project(tmp_path / "submitted")

    run = at.ended("from runlore import *; Workspace.create('other', exist_ok=True)")

    assert run.get_status() == "Completed"
    assert f"other will be removed when run {run.id} ends" in printed(run)
    path = str(tmp_path / "elsewhere")
    elsewhere = at.ended(
        f"from runlore import *; print(Workspace.create('other', path={path!r}).name)"
    )
    assert printed(elsewhere) == "other\n"


@pytest.mark.processes
def test_a_config_of_another_workspace_does_not_lead_to_the_runs(tmp_path: Path) -> None:
    at = Project(tmp_path / "submitted")
    (at.source / "config.json").write_text('{"workspace_name": "other"}')

    run = at.ended("from runlore import *; Workspace.from_config()")

    assert run.get_status() == "Failed"
    assert "which is not a workspace" in str(run.get_details()["error"])
