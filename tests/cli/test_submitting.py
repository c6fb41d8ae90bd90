"""Submitting scripts from the command line."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Workspace
from runlore.entry.attached_folder import attach
from tests.cli.shell import COMMAND, environment, runlore

TRAIN = """
import sys
from runlore import Run
print("training with", sys.argv[1:])
run = Run.get_context()
run.log("alpha", 0.3)
if "--fail" in sys.argv:
    sys.exit(4)
"""
SLOW = """
import time
print("begun", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with scripts, attached to an experiment."""
    folder = tmp_path_factory.mktemp("scripts")
    attach(folder, "lab", experiment_name="scripts")
    (folder / "train.py").write_text(TRAIN)
    (folder / "slow.py").write_text(SLOW)
    return folder


@pytest.fixture
def slow(scripts: Path) -> Iterator[str]:
    """A run whose script does not end by itself."""
    command = ("run", "submit-script", "--async", "--query", "run_id", "-o", "tsv", "slow.py")
    run_id = runlore(*command, cwd=scripts).out.strip()
    yield run_id
    with Workspace.open(scripts / "lab") as ws:
        run = ws.get_run(run_id)
        if run.get_status() != "Canceled":
            run.cancel()


@pytest.fixture(scope="module")
def trained(scripts: Path) -> str:
    """A run that was submitted, and has completed."""
    command = ("run", "submit-script", "-c", "local", "train.py", "--lr", "0.1")
    ran = runlore(*command, cwd=scripts)
    assert "training with ['--lr', '0.1']" in ran.err
    assert ran.data["status"] == "Completed"
    return str(ran.data["run_id"])


def test_a_submitted_run_says_the_same_in_its_record_and_in_the_list(
    scripts: Path, trained: str
) -> None:
    shown = runlore("run", "show", "-r", trained, cwd=scripts).data
    [listed] = runlore("run", "list", f"[?run_id=='{trained}']", cwd=scripts).data

    assert shown == {**listed, "alerts": [], "environment": {}}
    assert (shown["script_name"], shown["run_definition"]["arguments"]) == (
        "train.py",
        ["--lr", "0.1"],
    )


def test_people_see_the_log_and_the_record_on_stdout(scripts: Path) -> None:
    ran = runlore("run", "submit-script", "-o", "table", "train.py", "-o", "x", cwd=scripts)

    assert "training with ['-o', 'x']" in ran.out
    assert "status       Completed" in ran.out


def test_a_run_that_fails_exits_with_3(scripts: Path) -> None:
    ran = runlore("run", "submit-script", "train.py", "--fail", cwd=scripts, code=3)
    again = runlore("run", "monitor-logs", "-r", ran.data["run_id"], cwd=scripts, code=3)

    assert ran.data["status"] == again.data["status"] == "Failed"
    assert "training with ['--fail']" in again.err


def test_a_source_directory_and_a_target_can_be_given(scripts: Path) -> None:
    (scripts / "src").mkdir()
    (scripts / "src" / "nested.py").write_text("print('nested')")
    runlore("computetarget", "attach", "-n", "pool", "--slots", "1", cwd=scripts)

    ran = runlore(
        *("run", "submit-script", "--source-directory", "src", "--ct", "pool", "nested.py"),
        cwd=scripts,
    )

    assert (ran.data["target"], ran.data["status"]) == ("pool", "Completed")


def test_the_settings_of_a_runconfig_apply(scripts: Path) -> None:
    config = scripts / ".azureml" / "sample.runconfig"
    config.write_text("maxRunDurationSeconds: 77\nenvironmentVariables:\n  COLOR: blue\n")

    ran = runlore("run", "submit-script", "-c", "sample", "train.py", cwd=scripts)

    definition = ran.data["run_definition"]
    assert definition["max_run_duration_s"] == 77
    assert definition["environment_variables"] == {"COLOR": "blue"}


def test_the_script_may_be_that_of_the_runconfig(scripts: Path, tmp_path: Path) -> None:
    config = scripts / ".azureml" / "whole.runconfig"
    config.write_text("script: train.py\narguments: [--lr, '0.5']\n")
    (scripts / ".azureml" / "command.runconfig").write_text("command: echo from the command\n")
    written = tmp_path / "runoutput.json"

    ran = runlore("run", "submit-script", "-c", "whole", "-t", str(written), cwd=scripts)
    command = runlore("run", "submit-script", "-c", "command", cwd=scripts)

    assert "training with ['--lr', '0.5']" in ran.err
    assert ran.data["run_id"] in written.read_text()
    assert "from the command" in command.err


def test_nothing_to_submit_says_how_to_name_it(scripts: Path) -> None:
    ran = runlore("run", "submit-script", cwd=scripts, code=1)

    assert "there is no script to submit: name one, or a runconfig that names one" in ran.err


def test_resubmit_repeats_script_and_arguments(scripts: Path, trained: str) -> None:
    ran = runlore("run", "resubmit", "-r", trained, cwd=scripts)

    assert ran.data["run_definition"]["repeats"] == trained
    assert "training with ['--lr', '0.1']" in ran.err


def test_parameters_of_scripts_are_compared(scripts: Path, trained: str) -> None:
    other = runlore("run", "submit-script", "train.py", "--lr=0.2", cwd=scripts).data["run_id"]

    rows = runlore("run", "compare", trained, other, "--differing", cwd=scripts).data

    assert {"kind": "param", "name": "--lr", "equal": False, trained: "0.1", other: "0.2"} in rows


def test_logs_are_downloaded(scripts: Path, trained: str, tmp_path: Path) -> None:
    paths = runlore("run", "download-logs", "-r", trained, "-d", str(tmp_path), cwd=scripts).data
    options = ("-r", trained, "--output-dir", str(tmp_path / "again"))
    assert len(runlore("run", "download-logs", *options, cwd=scripts).data) == len(paths)

    texts = [Path(path).read_text() for path in paths]
    assert any("training with" in text for text in texts)


def test_a_run_is_canceled(scripts: Path, slow: str) -> None:
    runlore("run", "cancel", "-r", slow, "-w", "lab", "-e", "scripts", cwd=scripts)

    ended = runlore("run", "monitor-logs", "-r", slow, cwd=scripts, code=3)
    assert ended.data["status"] == "Canceled"


def test_ctrl_c_ends_the_waiting_but_not_the_run(scripts: Path, slow: str) -> None:
    with subprocess.Popen(
        [*COMMAND, "run", "monitor-logs", "-r", slow],
        cwd=scripts,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None and process.stdout is not None
        while "begun" not in (line := process.stderr.readline()):
            assert line, "the log ended before the script began"
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()

    assert process.returncode == 130
    assert "the run itself continues" in err and "Traceback" not in err
    assert out == ""
    assert runlore("run", "show", "-r", slow, "--query", "status", cwd=scripts).data == "Running"
