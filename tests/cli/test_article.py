"""The `az ml` lines of Azure's article on managing runs, as they stand, with `runlore`."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from tests.cli.conftest import start
from tests.cli.shell import COMMAND, environment

ARTICLE = Path(__file__).parents[1] / "e2e" / "manage-runs.md"
LOGIN, ATTACH, SUBMIT, LIST, SHOW, CANCEL, UPDATE, AUTHOR, KEY, BOTH = range(10)


def lines() -> list[str]:
    """The article's lines, filters quoted for the shell."""
    blocks = re.findall(r"```azurecli-interactive\n(.*?)```", ARTICLE.read_text(), re.DOTALL)
    found = [line for block in blocks for line in block.splitlines() if line.startswith("az ")]
    return [
        re.sub(r" (\[\?.*)$", lambda query: f" {shlex.quote(query[1])}", line) for line in found
    ]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a training script, and the workspaces, experiments and runs it speaks of."""
    folder = tmp_path_factory.mktemp("article")
    (folder / "train.py").write_text("print('trained')\n")
    run(lines()[ATTACH], folder)
    config = folder / ".azureml" / "sklearn.runconfig"
    shutil.copy(folder / ".azureml" / "local.runconfig", config)
    with Workspace.open(folder / "myworkspace") as ws:
        experiment = Experiment(ws, "experiment")
        for number in range(12):
            start(experiment, f"plain_{number}")
        fantastic = start(experiment, "fantastic", author="azureml-user")
        fantastic.tag("quality", "fantastic run")
        start(experiment, "authored", author="azureml-user").tag("worth another look, they say")
        start(experiment, "runid")
        for number in range(12, 24):
            start(experiment, f"plain_{number}", author="somebody else")
    with Workspace.create("workspace_name", path=folder / "workspace_name") as other:
        start(Experiment(other, "experiment_name"), "runid")
    yield folder


def run(line: str, folder: Path) -> str:
    """What the line prints, run by a shell."""
    command = line.replace("az ml", shlex.join(COMMAND), 1)
    ran = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, f"{line}\n{ran.stderr}"
    return ran.stdout


def test_all_lines_of_the_article_are_known_here() -> None:
    assert len(lines()) == 10
    assert lines()[LOGIN] == "az login"


def test_folder_attach_wrote_configs(project: Path) -> None:
    files = {file.name for file in (project / ".azureml").iterdir()}

    assert {"config.json", "conda_dependencies.yml", "local.runconfig"} <= files


def test_submit_script_runs_the_script(project: Path) -> None:
    record = json.loads(run(lines()[SUBMIT], project))

    assert (record["_experiment_name"], record["status"]) == ("testexperiment", "Completed")


def test_run_list_shows_the_last_ten(project: Path) -> None:
    records = json.loads(run(lines()[LIST], project))

    assert [record["run_id"] for record in records] == [f"plain_{n}" for n in range(23, 13, -1)]


def test_run_show_shows_the_run(project: Path) -> None:
    assert json.loads(run(lines()[SHOW], project))["_experiment_name"] == "experiment"


def test_run_cancel_cancels_in_the_workspace_named(project: Path) -> None:
    assert run(lines()[CANCEL], project) == "Experiment run canceled successfully.\n"

    with Workspace.open(project / "workspace_name") as ws:
        assert ws.get_run("runid").get_status() == "Canceled"
    with Workspace.open(project / "myworkspace") as ws:
        assert ws.get_run("runid").get_status() == "Running"


def test_run_update_adds_the_tag(project: Path) -> None:
    record = json.loads(run(f"{lines()[UPDATE]} --path .", project))

    assert record["tags"] == {"quality": "fantastic run"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (AUTHOR, ["authored", "fantastic"]),
        (KEY, ["authored"]),
        (BOTH, ["fantastic"]),
    ],
)
def test_the_filters_find_the_right_runs_of_all(
    project: Path, line: int, expected: list[str]
) -> None:
    records = json.loads(run(lines()[line], project))

    assert [record["run_id"] for record in records] == expected
