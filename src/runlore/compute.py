"""Azure's `azureml.core.compute`: the names of compute targets."""

from runlore.azure.uncovered import AksCompute as AksCompute
from runlore.azure.uncovered import BatchCompute as BatchCompute
from runlore.azure.uncovered import ComputeInstance as ComputeInstance
from runlore.azure.uncovered import DatabricksCompute as DatabricksCompute
from runlore.azure.uncovered import DsvmCompute as DsvmCompute
from runlore.azure.uncovered import HDInsightCompute as HDInsightCompute
from runlore.azure.uncovered import KubernetesCompute as KubernetesCompute
from runlore.azure.uncovered import RemoteCompute as RemoteCompute
from runlore.azure.uncovered import SynapseCompute as SynapseCompute
from runlore.compute_target import AmlCompute as AmlCompute
from runlore.compute_target import ClusterConfiguration as ClusterConfiguration
from runlore.compute_target import ComputeTarget as ComputeTarget
from runlore.compute_target import ComputeTargetException as ComputeTargetException
