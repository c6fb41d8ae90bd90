"""Slurm passes the contract of all targets, on a real cluster."""

from __future__ import annotations

import pytest

from runlore import ComputeTarget, Workspace
from runlore.testing.targets import TargetContract

pytestmark = pytest.mark.processes


class TestSlurm(TargetContract):
    waits_in_a_queue = True
    grace_s = 0.5

    def attach(self, workspace: Workspace) -> str:
        ComputeTarget.attach(
            workspace,
            "gpu-cluster",
            type="slurm",
            this_machine=True,
            grace_s=self.grace_s,
        )
        return "gpu-cluster"
