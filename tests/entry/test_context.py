from __future__ import annotations

import threading
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import RunNotFound, WorkspaceNotFound
from runlore.exceptions import RunEnvironmentException
from runlore.run.run import handle_of
from tests.fresh_python import run_python
from tests.workspaces import start


@pytest.fixture
def submitted(folder_ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that this process executes, as a launcher says by variables."""
    run = start(Experiment(folder_ws, "e"), outputs=["outputs"])
    monkeypatch.setenv("RUNLORE_WORKSPACE_URI", folder_ws.uri)
    monkeypatch.setenv("RUNLORE_RUN_ID", run.id)
    return run


# --- without a workspace ----------------------------------------------------------------------


def test_without_a_workspace_the_run_lives_in_memory(project: Path) -> None:
    run = Run.get_context()

    assert run.id.startswith("OfflineRun_")
    assert run.get_status() == "Running"
    assert list(project.iterdir()) == []


def test_the_context_is_the_same_object_at_each_call() -> None:
    assert Run.get_context() is Run.get_context()


def test_threads_that_ask_at_once_get_the_same_object() -> None:
    barrier = threading.Barrier(8)
    found: list[Run] = []

    def ask() -> None:
        barrier.wait()
        found.append(Run.get_context())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({id(run) for run in found}) == 1


def test_an_offline_run_has_the_whole_api() -> None:
    run = Run.get_context()
    run.log("loss", 0.5)
    run.tag("a", "b")
    child = run.child_run()
    child.complete()

    assert run.get_metrics() == {"loss": 0.5}
    assert run.get_tags() == {"a": "b"}
    assert child.parent is not None
    assert child.parent.id == run.id
    assert list(run.get_children(status="Completed")) == [child]
    assert [found.id for found in child.experiment.get_runs()] == [run.id]
    assert run.number == 1


def test_an_offline_run_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.get_context()
    run.log("loss", 0.5)
    run.complete()

    assert capsys.readouterr() == ("", "")


def test_without_a_workspace_offline_can_be_refused() -> None:
    with pytest.raises(
        RunEnvironmentException,
        match=r"^Could not load a submitted run .* use experiment\.start_logging",
    ):
        Run.get_context(allow_offline=False)


def test_after_its_workspace_was_closed_the_context_is_a_new_one() -> None:
    first = Run.get_context()
    handle_of(first).session.close()

    second = Run.get_context()

    assert second.id != first.id
    assert second.get_status() == "Running"


@pytest.mark.processes
def test_the_files_of_an_offline_run_go_with_its_process(project: Path) -> None:
    folder = run_python(
        """
import io, pathlib, runlore
from runlore.run.run import handle_of
run = runlore.Run.get_context()
run.upload_file("a.txt", io.BytesIO(b"a"))
run.log("loss", 1)
print(handle_of(run).session.shared_artifacts.folder)
assert pathlib.Path(str(handle_of(run).session.shared_artifacts.folder)).exists()
""",
        cwd=project,
    ).strip()

    assert not Path(folder).exists()


# --- with a workspace -------------------------------------------------------------------------


def test_with_the_variables_the_context_is_that_run(submitted: Run) -> None:
    run = Run.get_context(allow_offline=False)

    assert run == submitted
    assert Run.get_context() is run


def test_the_launcher_owns_the_status(submitted: Run, project: Path) -> None:
    run = Run.get_context()
    run.log("loss", 0.5)
    (project / "outputs" / "model.pkl").write_text("model")

    run.complete()

    assert submitted.get_status() == "Running"
    assert submitted.get_metrics() == {"loss": 0.5}
    assert submitted.get_file_names() == ["outputs/model.pkl"]


def test_fail_and_with_leave_the_status_to_the_launcher(submitted: Run) -> None:
    Run.get_context().fail("bad")
    with Run.get_context():
        pass
    with pytest.raises(ValueError), Run.get_context():
        raise ValueError

    assert submitted.get_status() == "Running"


def test_cancel_only_warns(submitted: Run) -> None:
    with pytest.warns(UserWarning, match="can only be canceled by its launcher"):
        Run.get_context().cancel()

    assert submitted.get_status() == "Running"


def test_children_of_the_context_own_their_status(submitted: Run) -> None:
    with Run.get_context().child_run() as child:
        pass

    assert child.get_status() == "Completed"
    assert child.parent == submitted


@pytest.mark.parametrize("missing", ["RUNLORE_RUN_ID", "RUNLORE_WORKSPACE_URI"])
def test_one_of_the_variables_alone_never_leads_offline(
    submitted: Run, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(missing)

    with pytest.raises(RunEnvironmentException, match="are not both set"):
        Run.get_context()


def test_an_unknown_run_is_named(submitted: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNLORE_RUN_ID", "nobody")

    with pytest.raises(RunNotFound, match="no run 'nobody'"):
        Run.get_context()


def test_a_missing_workspace_is_named(
    submitted: Run, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    monkeypatch.setenv("RUNLORE_WORKSPACE_URI", f"sqlite://{project}/nowhere")

    with pytest.raises(WorkspaceNotFound, match="no workspace in .*nowhere"):
        Run.get_context()


SCRIPT = """
import runlore
from runlore.run import Run

run = Run.get_context()
with run:
    for value in (0.5, 0.25):
        run.log("loss", value)
    run.log_row("roc", fpr=0.1, tpr=0.7)
    run.tag("quality", "great run")
    run.add_properties({"author": "me"})
    with run.child_run() as child:
        child.log("fold", child.parent.get_metrics("loss")["loss"][-1])
print(run.get_metrics(), run.get_tags(), run.get_properties(), child.get_metrics())
print([found.get_status() for found in run.get_children()], len(run.history()))
"""


@pytest.mark.processes
def test_one_script_runs_unchanged_with_and_without_a_workspace(
    folder_ws: Workspace, project: Path
) -> None:
    run = start(Experiment(folder_ws, "e"))

    offline = run_python(SCRIPT, cwd=project)
    recorded = run_python(
        SCRIPT, cwd=project, RUNLORE_WORKSPACE_URI=folder_ws.uri, RUNLORE_RUN_ID=run.id
    )

    first, second = offline.splitlines(), recorded.splitlines()
    assert first[0] == second[0]
    assert second[0].startswith("{'loss': [0.5, 0.25], 'roc': {'fpr': 0.1, 'tpr': 0.7}}")
    assert run.get_metrics() == {"loss": [0.5, 0.25], "roc": {"fpr": 0.1, "tpr": 0.7}}
