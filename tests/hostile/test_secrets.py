"""Secrets of a submitted script reach it, and stand in no file of the workspace."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runlore import ComputeTarget, ScriptRun
from runlore.domain.definition import Definition
from runlore.exceptions import ExperimentExecutionException
from runlore.execution.explicit_start import queued_work, start_queued
from runlore.execution.handover import Orders
from runlore.execution.masking import WORDS, masked, revealed
from runlore.run.run import handle_of
from runlore.storage.user_settings import settings_file
from runlore.testing.submitted import STAYS, Project, printed, wait_for_status
from tests.cli.shell import in_new_process, runlore

VARIABLES = {
    "DATABASE_URL": "postgresql://ada:planted-01@db/runs",
    "SLACK_WEBHOOK": "https://hooks.slack.com/services/planted-02",
    "GITHUB_PAT": "planted-03",
    "AUTH": "planted-04",
    "MY_PASSPHRASE": "planted-05",
    "HF_TOKEN": "planted-06",
    "HARMLESS_NAME": "sk-planted-07-0123456789abc",
    "AzureWebJobsStorage": "AccountName=lab;AccountKey=planted-08==;EndpointSuffix=x",
}
PLAIN = {"MAX_TOKENS": "512", "TOKENIZERS_PARALLELISM": "false", "AUTHOR": "ada", "LR": "0.1"}
ARGUMENTS = [
    *("--api-key", "planted-11", "--token=planted-12", "--lr", "0.1", "--max-tokens", "512"),
    *("redis://:planted-13@host:6379", "db.password=planted-14", "--tokenizer", "gpt2"),
]
MASKED = [
    *("--api-key", "***", "--token=***", "--lr", "0.1", "--max-tokens", "512"),
    *("***", "db.password=***", "--tokenizer", "gpt2"),
]
SCRIPT = """
import json, os, sys
print(json.dumps([sys.argv[1:], {name: os.environ.get(name) for name in %r}]))
print([name for name in os.environ if name.startswith("RUNLORE_SUPERVISOR")])
""" % [*VARIABLES, *PLAIN]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    made = Project(tmp_path)
    yield made
    made.ws.close()


def planted_in(folder: Path | None) -> list[str]:
    assert folder is not None
    found = subprocess.run(
        ["grep", "-raoE", "planted-[0-9]{2}", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode in (0, 1), found.stderr
    return found.stdout.splitlines()


def definition_of(run: ScriptRun) -> dict[str, Any]:
    definition: dict[str, Any] = run.get_details()["runDefinition"]
    return definition


@pytest.mark.processes
@pytest.mark.parametrize("target", ["local", "pool"])
def test_secrets_reach_the_script_and_no_file(project: Project, target: str) -> None:
    if target == "pool":
        ComputeTarget.attach(project.ws, "pool", slots=1, grace_s=0.5)
        blocking = project.submit(STAYS, name="blocking.py", compute_target="pool")
        wait_for_status(blocking, "Running")
    with pytest.warns(UserWarning, match="look like secrets") as told:
        run = project.submit(
            SCRIPT, *ARGUMENTS, variables={**VARIABLES, **PLAIN}, compute_target=target
        )
    assert planted_in(project.ws.path) == []
    if target == "pool":
        assert run.get_status() == "Queued"
        blocking.cancel()
    run.wait_for_completion()

    definition = definition_of(run)
    assert definition["arguments"] == MASKED
    assert definition["environment_variables"] == PLAIN
    assert sorted(definition["secret_variables"]) == sorted(VARIABLES)
    names = ["--api-key", "--token", "argument 8", "db.password"]
    assert definition["secret_arguments"] == names
    [said] = [str(warning.message) for warning in told]
    assert all(name in said for name in (*VARIABLES, *names)) and "planted" not in said
    [shown, theirs] = printed(run).splitlines()
    assert json.loads(shown) == [ARGUMENTS, {**VARIABLES, **PLAIN}]
    assert theirs == "[]"


@pytest.mark.processes
def test_a_line_of_a_shell_is_executed_as_it_was_given(project: Project) -> None:
    config = project.config("")
    config.script, config.arguments = None, []
    config.command = "X_TOKEN='planted 21' sh -c 'echo \"<$X_TOKEN>\" $0' --password=planted-22"
    with pytest.warns(UserWarning, match="X_TOKEN, --password"):
        run = project.exp.submit(config)
    run.wait_for_completion()

    assert definition_of(run)["command"] == (
        "X_TOKEN=*** sh -c 'echo \"<$X_TOKEN>\" $0' --password=***"
    )
    assert printed(run) == "<planted 21> --password=planted-22\n"


@pytest.mark.processes
def test_what_the_user_says_is_no_secret_is_recorded(project: Project) -> None:
    file = settings_file()
    assert file is not None
    file.parent.mkdir(mode=0o700, parents=True)
    file.write_text(json.dumps({"not_secret": ["auth"]}))
    file.chmod(0o600)
    config = project.config("", "--token=abc", "--auth", "basic", variables={"AUTH": "basic"})

    run = project.exp.submit(config, not_secret=["--token"])
    run.wait_for_completion()

    definition = definition_of(run)
    assert definition["arguments"] == ["--token=abc", "--auth", "basic"]
    assert definition["environment_variables"] == {"AUTH": "basic"}
    assert "secret_arguments" not in definition


@pytest.mark.processes
def test_a_run_with_secret_arguments_is_submitted_again_only_with_them(project: Project) -> None:
    with pytest.warns(UserWarning, match="--api-key"):
        run = project.ended("", "--api-key", "planted-31")

    with pytest.raises(ExperimentExecutionException, match="arguments --api-key.*kept nowhere"):
        project.exp.submit(run)


@pytest.mark.processes
def test_a_queued_run_without_its_secret_arguments_is_not_started(project: Project) -> None:
    ComputeTarget.attach(project.ws, "pool", slots=1, grace_s=0.5)
    blocking = project.submit(STAYS, name="blocking.py", compute_target="pool")
    wait_for_status(blocking, "Running")
    with pytest.warns(UserWarning, match="--api-key"):
        run = project.submit("", "--api-key", "planted-32", compute_target="pool")
    handle = handle_of(run)
    Orders(handle.session.require_held()).drop(run.id)  # As after a restart of the machine.

    with pytest.raises(ExperimentExecutionException, match="arguments --api-key.*kept nowhere"):
        start_queued(handle, queued_work(handle))

    run.cancel()
    blocking.cancel()


@pytest.mark.processes
def test_the_command_line_says_what_it_masked(project: Project, tmp_path: Path) -> None:
    (project.source / "train.py").write_text("import sys; print(sys.argv[1:])")
    project.ws.close()
    options = ("--path", str(project.source), "-w", str(tmp_path / "lab"), "-e", "e", "-o", "table")
    submit = ("run", "submit-script", *options)

    ran = in_new_process(*submit, "train.py", "--api-key", "planted-41", cwd=tmp_path)
    assert re.search("warning: the values of --api-key look like secrets", ran.err)
    assert "['--api-key', 'planted-41']" in ran.out
    assert "script      train.py --api-key '***'" in re.sub(" {2,}", "      ", ran.out)

    allowed = in_new_process(
        *submit, "--not-secret", "api-key", "train.py", "--api-key", "x", cwd=tmp_path
    )
    assert "warning" not in allowed.err
    listed = runlore("sql", "SELECT data FROM events", "-w", "./lab", cwd=tmp_path)
    assert "planted-41" not in listed.out


def test_a_definition_without_secret_arguments_is_as_before() -> None:
    definition = Definition(interpreter="/bin/sh", script="a", arguments=("--lr", "1"))

    recorded, handed_over = masked(definition)

    assert recorded == definition and handed_over == {}
    assert "secret_arguments" not in recorded.document()


def test_arguments_that_were_not_handed_over_are_still_missing() -> None:
    definition = Definition(interpreter="/bin/sh", command=("a", "--token", "x"))
    with pytest.warns(UserWarning, match="--token"):
        recorded, handed_over = masked(definition)

    assert recorded.command == ("a", "--token", "***")
    assert revealed(recorded, handed_over) == (definition, {})
    assert revealed(recorded, os.environ)[0].secret_arguments == ("--token",)
    assert WORDS in handed_over
