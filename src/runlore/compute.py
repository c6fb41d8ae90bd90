"""Azure's `azureml.core.compute`: the names of compute targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runlore.azure.options import refuse_unknown
from runlore.compute_target import ClusterConfiguration as ClusterConfiguration
from runlore.compute_target import ComputeTarget as ComputeTarget
from runlore.compute_target import ComputeTargetException as ComputeTargetException

if TYPE_CHECKING:
    from typing import Unpack

    from runlore.azure.options import ProvisioningOptions


class AmlCompute(ComputeTarget):
    """Azure's managed cluster. runlore makes no machines: it is a pool with a slot per node."""

    @staticmethod
    def provisioning_configuration(
        vm_size: str = "",
        vm_priority: str = "dedicated",
        min_nodes: int = 0,
        max_nodes: int = 4,
        idle_seconds_before_scaledown: int = 1800,
        **azure_options: Unpack[ProvisioningOptions],
    ) -> ClusterConfiguration:
        """The argument of `ComputeTarget.create`; only `max_nodes` has an effect."""
        refuse_unknown(AmlCompute.provisioning_configuration, azure_options)
        return ClusterConfiguration(max_nodes)
