"""Commands that change something."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from runlore import Experiment, RunConfiguration, Workspace
from tests.cli.shell import runlore


def test_run_update_sets_tags_and_shows_the_record(own_project: Path) -> None:
    updated = runlore(
        *("run", "update", "-r", "poor", "--add-tag", "quality=a=b", "--add-tag", "seen"),
        cwd=own_project,
    )

    assert updated.data["tags"] == {"quality": "a=b", "seen": None, "worth another look": None}


def test_run_tag_and_untag(own_project: Path) -> None:
    tagged = runlore("run", "tag", "-r", "other", "a=1", "b", cwd=own_project)
    untagged = runlore("run", "untag", "-r", "other", "a", "never there", cwd=own_project)

    assert tagged.data["tags"] == {"a": "1", "b": None}
    assert untagged.data["tags"] == {"b": None}


def test_run_cancel_says_azures_sentence(own_project: Path) -> None:
    cancel = ("run", "cancel", "-r", "running", "--reason", "it diverged", "-t", "record.json")
    said = runlore(*cancel, cwd=own_project)

    assert said.out == "Experiment run canceled successfully.\n"
    assert json.loads((own_project / "record.json").read_text())["status"] == "Canceled"
    history = runlore("run", "history", "-r", "running", cwd=own_project).data
    assert history[-1]["reason"] == "it diverged"
    ended = runlore("run", "cancel", "-r", "poor", cwd=own_project, code=1)
    assert "has ended as Completed" in ended.err


def test_experiments_are_archived_and_come_back(own_project: Path) -> None:
    archived = runlore("experiment", "archive", "-e", "experiment", cwd=own_project).data
    assert archived["archived"] is not None
    assert runlore("experiment", "list", cwd=own_project).data == []
    assert runlore("experiment", "list", "--all", cwd=own_project).data == [archived]
    again = runlore("experiment", "archive", cwd=own_project, code=1)
    assert "no experiment 'experiment'" in again.err

    reactivated = runlore("experiment", "reactivate", cwd=own_project).data
    assert runlore("experiment", "list", cwd=own_project).data == [reactivated]


def test_workspace_create_makes_a_folder(tmp_path: Path) -> None:
    made = runlore("workspace", "create", "-w", "lab", "-g", "group", cwd=tmp_path).data

    assert made["name"] == "lab"
    assert (tmp_path / "lab" / "log.sqlite").is_file()
    again = runlore("workspace", "create", "-w", "lab", cwd=tmp_path, code=1)
    assert "already" in again.err
    runlore("workspace", "create", "-w", "lab", "--exist-ok", cwd=tmp_path)
    refused = runlore("workspace", "show", "-w", "lab", "-g", "another", cwd=tmp_path, code=1)
    assert "'group'" in refused.err


def test_folder_attach_makes_the_workspace_and_the_samples(tmp_path: Path) -> None:
    project = tmp_path / "my project"
    project.mkdir()
    command = ("folder", "attach", "-w", "lab", "-g", "group")

    attached = runlore(*command, "--path", str(project), cwd=tmp_path).data

    assert attached == {
        "Experiment name": "my-project",
        "Subscription id": "",
        "Resource group": "group",
        "Workspace name": "lab",
        "Project path": str(project),
    }
    config = json.loads((project / ".azureml" / "config.json").read_text())
    assert set(config) == {"Id", "Scope", "Path", "Experiment"}
    assert {file.name for file in (project / ".azureml").iterdir()} == {
        *("config.json", "conda_dependencies.yml", "local.runconfig", "docker.runconfig")
    }
    assert RunConfiguration.load(project, "local").target == "local"
    assert Workspace.from_config(project).name == "lab"


def test_folder_attach_finds_the_workspace_again_and_keeps_edited_samples(
    own_project: Path,
) -> None:
    sample = own_project / ".azureml" / "local.runconfig"
    sample.write_text("script: mine.py\n")

    attached = runlore("folder", "attach", "-w", "myworkspace", "-e", "new", cwd=own_project)

    assert attached.data["Experiment name"] == "new"
    assert sample.read_text() == "script: mine.py\n"
    assert len(runlore("run", "list", "-e", "experiment", cwd=own_project).data) == 4


def test_folder_attach_follows_a_config_that_leads_elsewhere(tmp_path: Path) -> None:
    project, shared = tmp_path / "project", tmp_path / "shared"
    project.mkdir()
    with Workspace.create("lab", path=shared) as ws:
        ws.write_config(project)

    runlore("folder", "attach", "-w", "lab", cwd=project)

    assert not (project / "lab").exists()
    assert runlore("workspace", "show", cwd=project).data["storageAccount"] == str(shared)


def test_a_pool_is_attached_and_deleted(own_project: Path) -> None:
    attached = runlore("computetarget", "attach", "-n", "pool", "--slots=3", cwd=own_project).data
    assert (attached["name"], attached["slots"]) == ("pool", 3)
    listed = runlore("computetarget", "list", "[].name", cwd=own_project).data
    assert sorted(listed) == ["local", "pool"]

    runlore("computetarget", "delete", "-n", "pool", cwd=own_project)
    gone = runlore("computetarget", "show", "-n", "pool", cwd=own_project, code=1)
    assert "no compute target 'pool'" in gone.err


@pytest.mark.parametrize(
    ("kind", "given", "attached"),
    [
        (
            "slurm",
            ["partition=gpu", "gpus=2", "time_limit=1:30:00", 'extra_args=["--account=a=b"]'],
            {"partition": "gpu", "gpus": "2", "time_limit": "1:30:00"}
            | {"extra_args": ["--account=a=b"]},
        ),
        (
            "ray",
            ["address=http://ray-head:8265/", "gpus=0.5", 'resources={"tpu": 1}'],
            {"address": "http://ray-head:8265", "cpus": 1.0, "gpus": 0.5, "resources": {"tpu": 1.0}}
            | {"memory_gb": None, "runtime_env": {}},
        ),
    ],
    ids=["slurm", "ray"],
)
def test_a_cluster_is_attached_with_its_settings(
    kind: str, given: list[str], attached: dict[str, object], own_project: Path
) -> None:
    settings = [word for one in (*given, "this_machine=true") for word in ("--setting", one)]

    runlore(
        *("computetarget", "attach", "-n", "c", "--type", kind, "--grace-s", "2.5"),
        *settings,
        cwd=own_project,
    )

    shown = runlore("computetarget", "show", "-n", "c", cwd=own_project).data
    del shown["status"]
    common = {"name": "c", "type": kind, "grace_s": 2.5, "this_machine": True}
    assert shown == attached | common
    table = runlore("computetarget", "list", "-o", "table", cwd=own_project).out
    assert re.search(rf"^c +{kind} *$", table, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["--type", "slurm", "--setting", "gpus"], 2, "'gpus' is not NAME=VALUE"),
        (["--type", "slurm", "--setting", "=2"], 2, "'=2' is not NAME=VALUE"),
        (["--type", "slurm", "--setting", "queue=a"], 1, "no setting 'queue'; it takes partition"),
        (["--type", "slurm", "--slots", "2"], 1, "no setting 'slots'"),
        (["--type", "slurm", "--setting", "gpus=many"], 1, "gpus is 'many'; it takes a number"),
        (["--type", "slurm"], 1, "runlore workspace copy"),
        (["--type", "ray", "--setting", "address=ray:8265"], 1, "it is not an http:// or https://"),
        (["--type", "ray", "--setting", "address=http://me:pw@r"], 1, "a user or a password"),
        (["--type", "lsf"], 1, "no kind of compute target 'lsf'; there are: local, pool"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_cluster_with_wrong_settings_is_refused(
    words: list[str], code: int, problem: str, own_project: Path
) -> None:
    ran = runlore("computetarget", "attach", "-n", "c", *words, cwd=own_project, code=code)

    assert problem in " ".join(ran.err.split())
    assert "pw" not in ran.err
    assert runlore("computetarget", "list", "[].name", cwd=own_project).data == ["local"]


def test_a_cluster_of_azure_is_a_pool(own_project: Path) -> None:
    created = runlore(
        *("computetarget", "create", "amlcompute", "-n", "cpu-cluster"),
        *("--max-nodes", "3", "--vm-size", "STANDARD_D2_V2", "--min-nodes", "0"),
        cwd=own_project,
    ).data

    assert (created["name"], created["type"], created["slots"]) == ("cpu-cluster", "pool", 3)


def test_init_s_workspace_is_found_without_a_config(tmp_path: Path) -> None:
    from runlore import init

    with init("first-steps", workspace=tmp_path / ".runlore") as run:
        run.log("loss", 1.0)

    listed = runlore("run", "list", "-e", "first-steps", "[].run_id", cwd=tmp_path)
    assert listed.data == [run.id]


def test_a_reason_stands_in_the_history(own_project: Path) -> None:
    runlore("run", "tag", "-r", "poor", "quality=good", "--reason", "mixed up", cwd=own_project)

    history = runlore("run", "history", "-r", "poor", cwd=own_project).data
    assert history[-1]["reason"] == "mixed up"


def test_run_correct_property_keeps_the_reason(own_project: Path) -> None:
    command = ("run", "correct-property", "-r", "poor", "author=somebody")
    corrected = runlore(*command, "--reason", "a typo", cwd=own_project)

    assert corrected.data["properties"]["author"] == "somebody"
    last = runlore("run", "history", "-r", "poor", cwd=own_project).data[-1]
    assert (last["what"], last["reason"]) == ("property_corrected", "a typo")
    silent = runlore(*command, cwd=own_project, code=2)
    assert "--reason" in silent.err


def test_audit_erase_asks_erases_and_shows_what_is_left(tmp_path: Path) -> None:
    runlore("workspace", "create", "-w", "lab", "--erasable", cwd=tmp_path)
    with Workspace.open(tmp_path / "lab") as ws:
        run = Experiment(ws, "e").start_logging(outputs=False, snapshot_directory=None, run_id="r1")
        run.tag("participant", "Ann")
        run.complete()
    command = ("audit", "erase", "-w", "lab", "-r", "r1", "--reason", "consent withdrawn")

    unconfirmed = runlore(*command, cwd=tmp_path, code=130)
    erased = runlore(*command, "--yes", cwd=tmp_path).data

    assert "Erase run r1 for ever?" in unconfirmed.err
    assert (erased["status"], erased["tags"], erased["_erased"]) == ("Completed", {}, True)
    listed = runlore("run", "list", "-w", "lab", "-e", "e", "-o", "table", cwd=tmp_path)
    assert "Completed, erased" in listed.out


def test_audit_erase_says_why_a_workspace_erases_nothing(own_project: Path) -> None:
    command = ("audit", "erase", "-r", "poor", "--reason", "asked to", "--yes")

    assert "was not created as erasable" in runlore(*command, cwd=own_project, code=1).err


def test_an_archived_run_leaves_the_lists_and_comes_back(own_project: Path) -> None:
    def listed(*options: str) -> list[str]:
        found: list[str] = runlore("run", "list", *options, "[].run_id", cwd=own_project).data
        return found

    runlore("run", "archive", "-r", "poor", "--reason", "wrong data", cwd=own_project)
    assert listed() == ["running", "other", "fantastic"]
    assert listed("--where", "archived = true") == ["poor"]
    assert runlore("run", "show", "-r", "poor", cwd=own_project).data["status"] == "Completed"
    history = runlore("run", "history", "-r", "poor", cwd=own_project).data
    assert (history[-1]["what"], history[-1]["reason"]) == ("archived", "wrong data")

    runlore("run", "reactivate", "-r", "poor", cwd=own_project)
    assert listed() == ["running", "other", "poor", "fantastic"]
