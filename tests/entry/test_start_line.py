"""What people see on stderr when a run starts."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import runlore
from runlore import Experiment, Workspace
from tests.fresh_python import without_settings
from tests.hostile.hostile_log import FORBIDDEN
from tests.workspaces import start


@pytest.fixture(autouse=True)
def not_quiet(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is for people; the other tests are quiet."""
    monkeypatch.delenv("RUNLORE_QUIET")


def line_of(said: str) -> str:
    [line] = said.splitlines()
    return line


def test_init_says_name_id_and_how_to_look_at_the_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runlore.init("nets", name="vit base")

    shown = capsys.readouterr()
    assert shown.out == ""
    assert line_of(shown.err) == (
        f"runlore: run 'vit base' ({run.id}) started; look at it: {run.get_portal_url()}"
    )


def test_a_run_without_a_name_is_named_by_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    run = runlore.init("nets")

    assert line_of(capsys.readouterr().err).startswith(f"runlore: run {run.id} started; look at ")


def test_a_resumed_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with runlore.init("nets", run_id="mine"):
        pass
    capsys.readouterr()

    runlore.init("nets", run_id="mine", resume="must")

    assert "run mine goes on; look at it: " in line_of(capsys.readouterr().err)


def test_it_can_be_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runlore.init("nets", quiet=True)
    monkeypatch.setenv("RUNLORE_QUIET", "1")
    runlore.init("nets")

    assert " started; " not in capsys.readouterr().err


def test_runs_of_azures_interface_start_quietly(
    folder_ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    start(Experiment(folder_ws, "e")).child_run().complete()

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("variable", ["RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"])
@pytest.mark.parametrize("rank, says", [("0", True), ("3", False)])
def test_of_many_ranks_the_first_one_speaks(
    variable: str,
    rank: str,
    says: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, rank)

    run = runlore.init("nets")

    assert (run.id in capsys.readouterr().err) is says


@pytest.mark.parametrize("broken", ["none", "closed", "full"])
def test_a_stream_that_cannot_be_written_does_not_end_a_training(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = io.StringIO()
    closed.close()
    # Closing a full stream fails as writing to it does.
    with suppress(OSError), open("/dev/full", "w", buffering=1) as full:
        streams = {"none": None, "closed": closed, "full": full}
        monkeypatch.setattr(sys, "stderr", streams[broken])

        run = runlore.init("nets")

        monkeypatch.undo()
        assert run.get_status() == "Running"


def test_a_name_is_only_text(capsys: pytest.CaptureFixture[str]) -> None:
    runlore.init("nets", name="a\u2060\ufeffb")

    said = capsys.readouterr().err
    assert "a\\u2060\\ufeffb" in said and FORBIDDEN.findall(said) == []


@pytest.mark.processes
def test_the_command_of_the_line_shows_the_run(project: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "import runlore\nwith runlore.init('nets'): pass"],
        cwd=project,
        env={k: v for k, v in without_settings(os.environ).items() if k != "RUNLORE_QUIET"},
        capture_output=True,
        text=True,
        check=True,
    )
    command = shlex.split(line_of(ran.stderr).partition("look at it: ")[2])

    shown = subprocess.run(
        [sys.executable, "-m", "runlore.cli", *command[1:]],
        cwd="/",
        env=without_settings(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )

    assert command[0] == "runlore" and ran.stdout == ""
    record = json.loads(shown.stdout)
    assert re.search(record["run_id"], ran.stderr) and record["status"] == "Completed"
