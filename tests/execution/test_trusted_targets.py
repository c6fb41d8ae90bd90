"""Targets that this user trusts are known to the user's later processes and jobs, as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runlore import Workspace
from runlore.domain.compute_target import TargetState
from runlore.execution.targets.trusted import HANDED, handed, trust
from runlore.workspace import session_of
from tests.processes import start_python

pytestmark = pytest.mark.processes

_ASKS = """
import json, sys
from runlore import Workspace
from runlore.domain.compute_target import TargetState
from runlore.execution.targets.trusted import is_trusted
from runlore.workspace import session_of
for folder, state in json.loads(sys.argv[1]):
    print(is_trusted(session_of(Workspace.open(folder)), TargetState(*state)))
"""
_STATES = [
    ["gpu", "slurm", {"partition": "a100"}],
    ["gpu", "slurm", {"partition": "h100"}],
    ["gpu", "ray", {"partition": "a100"}],
    ["cpu", "slurm", {"partition": "a100"}],
]
_TRUSTED = TargetState("gpu", "slurm", {"partition": "a100"})


def test_a_target_is_trusted_only_in_its_workspace_and_with_its_settings(tmp_path: Path) -> None:
    lab, other = tmp_path / "lab", tmp_path / "other"
    Workspace.create("other", path=other).close()
    with Workspace.create("lab", path=lab) as ws:
        trust(session_of(ws), _TRUSTED)

    asked = [*((str(lab), state) for state in _STATES), (str(other), _STATES[0])]
    answers, _ = start_python(_ASKS, json.dumps(asked)).communicate()

    assert answers.split() == ["True", "False", "False", "False", "False"]


def test_a_workspace_that_takes_the_place_of_another_is_not_trusted(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    with Workspace.create("lab", path=lab) as ws:
        trust(session_of(ws), _TRUSTED)
    lab.rename(tmp_path / "old")
    Workspace.create("lab", path=lab).close()

    asked = [(str(lab), _STATES[0]), (str(tmp_path / "old"), _STATES[0])]
    answers, _ = start_python(_ASKS, json.dumps(asked)).communicate()

    assert answers.split() == ["False", "True"]


def test_a_job_on_another_host_is_told_what_its_submitter_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, other = tmp_path / "lab", tmp_path / "other"
    Workspace.create("other", path=other).close()
    with Workspace.create("lab", path=lab) as ws:
        trust(session_of(ws), _TRUSTED)
        told = handed(session_of(ws), [TargetState(*state) for state in _STATES])  # type: ignore[arg-type]  # As JSON has them.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state of another host"))
    asked = json.dumps([*((str(lab), state) for state in _STATES), (str(other), _STATES[0])])

    without, _ = start_python(_ASKS, asked).communicate()
    monkeypatch.setenv(HANDED, told)
    answers, _ = start_python(_ASKS, asked).communicate()

    assert without.split() == ["False"] * 5
    assert answers.split() == ["True", "False", "False", "False", "False"]
