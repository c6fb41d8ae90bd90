"""Azure's `azureml.core.compute`: the names of compute targets."""

from __future__ import annotations

from typing import Any

from runlore.compute_target import ComputeTarget as ComputeTarget
from runlore.compute_target import ComputeTargetException as ComputeTargetException


class ClusterConfiguration:
    """What a cluster would be made of; here only the number of nodes means something."""

    def __init__(self, max_nodes: int) -> None:
        self.max_nodes = max_nodes


class AmlCompute(ComputeTarget):
    """Azure's managed cluster. runlore makes no machines: it is a pool with a slot per node."""

    @staticmethod
    def provisioning_configuration(
        vm_size: str = "",
        vm_priority: str = "dedicated",
        min_nodes: int = 0,
        max_nodes: int = 4,
        idle_seconds_before_scaledown: int = 1800,
        **_: Any,
    ) -> ClusterConfiguration:
        """What `ComputeTarget.create` takes; sizes, priorities and idle times mean nothing here."""
        return ClusterConfiguration(max_nodes)
