"""Targets that this user has used are known to the user's later processes, as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runlore.domain.compute_target import TargetState
from runlore.execution.targets.used import note_use
from runlore.storage.held_path import hold
from tests.processes import start_python

pytestmark = pytest.mark.processes

_ASKS = """
import json, sys
from pathlib import Path
from runlore.domain.compute_target import TargetState
from runlore.execution.targets.used import is_used
from runlore.storage.held_path import hold
for folder, state in json.loads(sys.argv[1]):
    print(is_used(hold(Path(folder)), TargetState(*state)))
"""


def test_a_target_counts_as_used_only_in_its_workspace_and_with_its_settings(
    tmp_path: Path,
) -> None:
    lab, other = tmp_path / "lab", tmp_path / "other"
    lab.mkdir()
    other.mkdir()
    note_use(hold(lab), TargetState("gpu", "slurm", {"partition": "a100"}))

    asked = [
        (str(lab), ["gpu", "slurm", {"partition": "a100"}]),
        (str(lab), ["gpu", "slurm", {"partition": "h100"}]),
        (str(lab), ["gpu", "ray", {"partition": "a100"}]),
        (str(lab), ["cpu", "slurm", {"partition": "a100"}]),
        (str(other), ["gpu", "slurm", {"partition": "a100"}]),
    ]
    answers, _ = start_python(_ASKS, json.dumps(asked)).communicate()

    assert answers.split() == ["True", "False", "False", "False", "False"]
