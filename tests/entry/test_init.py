from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

import runlore
from runlore import Workspace
from runlore.domain.errors import InvalidInput
from tests.fresh_python import run_python


def test_init_starts_a_run_in_a_workspace_of_the_project(project: Path) -> None:
    with runlore.init("first-steps") as run:
        run.log("loss", 0.5)

    assert run.get_status() == "Completed"
    found = Workspace.open(project / ".runlore")
    assert found.name == "project"
    assert found.get_run(run.id).get_metrics() == {"loss": 0.5}
    assert found.get_run(run.id).experiment.name == "first-steps"


def test_init_again_uses_the_same_workspace_and_experiment(project: Path) -> None:
    first, second = runlore.init("e"), runlore.init("e")

    assert first.experiment == second.experiment
    assert list(first.experiment.get_runs()) == [second, first]


def test_init_keeps_no_files_and_no_snapshot(project: Path) -> None:
    run = runlore.init("e")
    run.complete()

    assert [path.name for path in project.iterdir()] == [".runlore"]
    assert (project / ".runlore" / ".gitignore").read_text() == "*\n"
    assert run.get_properties() == {}


def test_init_keeps_the_config_and_the_tags(project: Path) -> None:
    run = runlore.init("e", config={"lr": 0.1}, tags={"a": "b"}, display_name="my run")

    assert run.get_config() == {"lr": 0.1}
    assert run.get_properties() == {}
    assert run.get_tags() == {"a": "b"}
    assert run.display_name == "my run"


def test_the_values_of_a_config_keep_their_types(project: Path) -> None:
    config = {"lr": 0.1, "net": {"layers": [64, 64], "bias": True}, "seed": None}

    assert runlore.init("e", config=config).get_config() == config


def test_a_config_that_cannot_be_kept_starts_no_run(project: Path) -> None:
    with pytest.raises(InvalidInput, match="config key is empty"):
        runlore.init("e", config={"": 1})

    assert list(runlore.Experiment(Workspace.open(".runlore"), "e").get_runs()) == []


@pytest.mark.processes
def test_init_takes_another_folder_and_a_snapshot(project: Path) -> None:
    (project / "train.py").write_text("")

    run = runlore.init("e", workspace="elsewhere", snapshot_directory=".")

    assert Workspace.open("elsewhere").get_run(run.id) == run
    assert run.get_snapshot_id() is not None


def test_a_bad_name_is_refused(project: Path) -> None:
    with pytest.raises(InvalidInput, match="is not a valid experiment name; it is blank"):
        runlore.init(" ")


@pytest.mark.processes
def test_the_experiment_is_named_after_the_script(project: Path) -> None:
    (project / "train model.v2.py").write_text(
        "import runlore\nprint(runlore.init().experiment.name)"
    )

    printed = run_python(
        "import runpy, sys; sys.argv = ['train model.v2.py']; runpy.run_path(sys.argv[0])",
        cwd=project,
    )

    assert printed == "train-model-v2\n"


def test_init_in_a_loop_does_not_leak_open_files(project: Path) -> None:
    process = psutil.Process()

    def descriptors_after(runs: int) -> int:
        for number in range(runs):
            with runlore.init("e") as run:
                run.log("loss", number)
        return process.num_fds()

    held = descriptors_after(2)
    assert descriptors_after(30) <= held + 2  # The spare file of the spool comes later.
    assert len(list(runlore.init("e").experiment.get_runs())) == 33


def test_init_works_at_the_root_of_a_file_system(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(os.sep)

    run = runlore.init("e", workspace=project / ".runlore")

    assert run.experiment.workspace.name == "project"
