"""Deliveries to a command: nothing of an alert is ever a part of its command line."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from runlore.alerts.command import Command
from runlore.alerts.delivery import DeliveryFailed
from runlore.domain.errors import InvalidInput
from tests.alerts.examples import HOSTILE, alert
from tests.processes import wait_until

pytestmark = pytest.mark.processes


def python(code: str, *arguments: object) -> str:
    return shlex.join([sys.executable, "-c", code, *map(str, arguments)])


def test_a_command_gets_json_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = (
        "import json, os, sys; json.dump([sys.stdin.read(), sys.argv[2:], {k: v for k, v in "
        "os.environ.items() if k.startswith('RUNLORE_ALERT_')}], open(sys.argv[1], 'w'))"
    )

    Command(python(code, "got.json", "$RUNLORE_ALERT_TITLE", "a b"), 30).deliver(
        alert(HOSTILE, HOSTILE)
    )

    stdin, arguments, variables = json.loads(Path("got.json").read_text())
    assert json.loads(stdin) == alert(HOSTILE, HOSTILE).document()
    assert arguments == ["$RUNLORE_ALERT_TITLE", "a b"]
    assert variables == alert(HOSTILE, HOSTILE).variables()
    assert variables["RUNLORE_ALERT_RUN_ID"] == "run-1"
    assert not Path("pwned").exists()


def test_hostile_text_is_only_text_to_a_shell_that_the_user_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = (
        "sh -c 'printf %s \"$RUNLORE_ALERT_TITLE\" > title; printf %s $RUNLORE_ALERT_TITLE > bare'"
    )

    Command(line, 30).deliver(alert(HOSTILE))

    assert Path("title").read_text() == alert(HOSTILE).variables()["RUNLORE_ALERT_TITLE"]
    assert sorted(os.listdir()) == ["bare", "title"]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9"),
        ("import time; time.sleep(600)", "did not end within 0.5 s"),
    ],
    ids=["exit", "killed", "slow"],
)
def test_a_command_that_does_not_succeed_has_not_delivered(code: str, problem: str) -> None:
    timeout_s = 0.5 if "sleep" in code else 60
    with pytest.raises(DeliveryFailed, match=problem):
        Command(python(code), timeout_s).deliver(alert())


def test_a_command_that_reads_nothing_gets_a_large_alert() -> None:
    Command(python("pass"), 60).deliver(alert("t", "\x1b" * 1_000_000))


def test_what_a_slow_command_started_is_killed_as_well(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    line = f"sh -c 'sleep 600 & echo $! > {pid_file}; wait'"

    with pytest.raises(DeliveryFailed, match="did not end"):
        Command(line, 2).deliver(alert())

    pid = int(pid_file.read_text())
    wait_until(lambda: _is_gone(pid), "the end of what it started")


def test_what_is_no_command_is_refused_before_anything_happens() -> None:
    for line in ("", "  ", "no-such-command-anywhere", "echo 'a", "./missing"):
        with pytest.raises(InvalidInput, match="--exec"):
            Command(line, 1)


def test_a_command_that_vanishes_is_a_failure(tmp_path: Path) -> None:
    script = tmp_path / "tell"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    command = Command(str(script), 5)
    script.unlink()

    with pytest.raises(DeliveryFailed, match="cannot be started: No such file"):
        command.deliver(alert())


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
