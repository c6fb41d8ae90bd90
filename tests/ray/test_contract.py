"""Ray passes the contract of compute targets, with a real head."""

from __future__ import annotations

import pytest

from runlore import ComputeTarget, Workspace
from runlore.testing.targets import TargetContract
from tests.ray.head import Head

pytestmark = pytest.mark.processes


class TestRay(TargetContract):
    waits_in_a_queue = True
    grace_s = 0.5

    @pytest.fixture(autouse=True)
    def _ray(self, head: Head) -> None:
        self.head = head

    def attach(self, workspace: Workspace) -> str:
        ComputeTarget.attach(
            workspace,
            "rays",
            type="ray",
            address=self.head.address,
            grace_s=self.grace_s,
            this_machine=True,
        )
        return "rays"
