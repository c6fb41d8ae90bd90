"""Mistakes of users: a message on stderr, an exit code, nothing on stdout, no traceback."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from tests.cli.conftest import start
from tests.cli.shell import COMMAND, environment, in_this_process, on_terminal, runlore


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "show", "-r", "nope"], "no run 'nope'"),
        (["run", "show", "-r", "no/id"], "not a valid run id"),
        (["run", "show", "-r", ""], "not a valid run id"),
        (["run", "list", "-e", "nope"], "no experiment 'nope'"),
        (["run", "list", "-w", "nope"], "no workspace 'nope'"),
        (["run", "list", "-w", "a b"], "workspace name"),
        (["run", "list", "-w", "./nope"], "no workspace in"),
        (["run", "list", "-w", "redis://host/0"], "no opener for redis://"),
        (["workspace", "create", "-w", "./lab", "--folder", "other"], "has two folders"),
        (["run", "list", "-g", "other-group"], None),
        (["run", "list", "--sort", "nothing"], "cannot sort by 'nothing'"),
        (["run", "list", "--parent-run-id", "nope"], "no run 'nope'"),
        (["run", "list", "[?sum(run_id) > `1`]"], "failed"),
        (["run", "compare", "poor", "poor"], "at least two runs"),
        (["run", "submit-script", "-c", "nope", "train.py"], "nope.runconfig"),
        (["run", "submit-script", "missing.py"], "missing.py"),
        (["run", "resubmit", "-r", "poor"], "poor"),
        (["computetarget", "show", "-n", "nope"], "no compute target 'nope'"),
        (["sql", "DELETE FROM runs"], "takes one SELECT"),
        (["sql", "SELECT nothing FROM runs"], "nothing"),
        (["experiment", "reactivate", "-e", "experiment"], "no experiment 'experiment'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_failure_exits_with_1(project: Path, arguments: list[str], message: str | None) -> None:
    if message is None:  # A workspace without a group is in any.
        runlore(*arguments, cwd=project)
        return

    ran = runlore(*arguments, cwd=project, code=1)

    assert message in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Usage: runlore"),
        (["run"], "Usage: runlore run"),
        (["run", "rm"], "No such command 'rm'"),
        (["run", "delete"], "No such command 'delete'"),
        (["run", "show"], "Missing option '-r' / '--run'"),
        (["run", "list", "--status", "Sleeping"], "Sleeping"),
        (["run", "list", "--last", "0"], "--last"),
        (["run", "list", "--tag", "=value"], "KEY or KEY=VALUE"),
        (["run", "list", "--tag", "a=1", "--tag", "a=2"], "twice"),
        (["run", "list", "extra"], "unexpected extra argument (extra)"),
        (["run", "list", "--query", "[]", "[]"], "Two queries"),
        (["run", "list", "-o", "yaml"], "yaml"),
        (["run", "update", "-r", "poor"], "--add-tag"),
        (["folder", "attach"], "--workspace-name"),
        (["completion", "tcsh"], "tcsh"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_exits_with_2(
    project: Path, arguments: list[str], message: str
) -> None:
    ran = runlore(*arguments, cwd=project, code=2)

    assert message in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(
    ("query", "column"),
    [
        ("[?tags.a==]", 10),
        ("[?tags.a=='b'", 13),
        ("[?tags.keys(@)[?]]", 16),
        ("[#]", 1),
        ("[?a == 'b", 7),
        ("", 0),
    ],
)
def test_an_invalid_query_is_shown_with_a_caret(project: Path, query: str, column: int) -> None:
    ran = in_this_process("run", "list", "--query", query, cwd=project)

    assert (ran.code, ran.out) == (2, "")
    lines = ran.err.splitlines()
    shown = next(number for number, line in enumerate(lines) if "invalid JMESPath" in line) + 1
    assert lines[shown].rstrip() == f"  {query}".rstrip()
    assert lines[shown + 1] == f"  {' ' * column}^"


def test_an_ambiguous_run_lists_the_candidates(own_project: Path) -> None:
    with Workspace.open(own_project / "myworkspace") as ws:
        start(Experiment(ws, "experiment"), "poorer")

    ran = runlore("run", "show", "-r", "poo", cwd=own_project, code=1)
    whole = runlore("run", "show", "-r", "poor", "--query", "run_id", cwd=own_project)

    assert "several run ids start with 'poo'" in ran.err
    assert "poor, poorer" in ran.err
    assert whole.data == "poor"


def test_without_a_workspace_the_message_says_where_it_looked(tmp_path: Path) -> None:
    ran = runlore("run", "show", "-r", "x", cwd=tmp_path, code=1)

    assert "no workspace config" in ran.err and str(tmp_path) in ran.err


def test_a_config_that_leads_nowhere_is_named(own_project: Path) -> None:
    (own_project / ".azureml" / "config.json").write_text('{"Path": "gone"}')

    assert "gone" in runlore("workspace", "show", cwd=own_project, code=1).err


def test_without_an_experiment_the_message_says_what_to_give(tmp_path: Path) -> None:
    Workspace.create("lab", path=tmp_path / "lab").close()

    ran = runlore("run", "tree", "-w", "lab", cwd=tmp_path, code=1)

    assert "--experiment-name" in ran.err


def test_debug_shows_where_an_error_comes_from(project: Path) -> None:
    ran = on_terminal("run", "show", "-r", "nope", "--debug", cwd=project)

    assert ran.code == 1
    assert "Traceback" in ran.err and "error: no run 'nope'" in ran.err


def test_an_existing_file_is_refused_before_anything_is_done(own_project: Path) -> None:
    (own_project / "there.json").write_text("")
    command = ("run", "update", "-r", "other", "--add-tag", "a", "-t", "there.json")

    runlore(*command, cwd=own_project, code=1)

    shown = runlore("run", "show", "-r", "other", "--query", "tags", cwd=own_project)
    assert shown.data == {}


def test_a_folder_that_cannot_be_written_gives_a_message(project: Path) -> None:
    made = runlore("workspace", "create", "-w", "lab", "--folder", "/proc/no", cwd=project, code=1)
    assert "/proc/no" in made.err


def test_ctrl_c_exits_with_130(project: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "run", "watch", "--verbose", "--interval=60", "-o", "json"],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None and process.stdout is not None
        assert "myworkspace" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()

    assert process.returncode == 130
    assert "Traceback" not in err and out == ""


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["model", "list"], "does not cover 'model' of `az ml`; keep models with run.upload_file"),
        (["run", "submit-hyperdrive"], "does not cover 'submit-hyperdrive' of `az ml`; submit a"),
    ],
)
def test_commands_of_azure_that_are_not_covered_say_what_to_do(
    project: Path, command: list[str], told: str
) -> None:
    assert told in runlore(*command, cwd=project, code=2).err
