"""Azure's `azureml.core.runconfig`."""

from runlore.configuration.conda_dependencies import CondaDependencies as CondaDependencies
from runlore.configuration.environment import ContainerRegistry as ContainerRegistry
from runlore.configuration.environment import Environment as Environment
from runlore.configuration.runconfig import DockerConfiguration as DockerConfiguration
from runlore.configuration.runconfig import HistoryConfiguration as HistoryConfiguration
from runlore.configuration.runconfig import MpiConfiguration as MpiConfiguration
from runlore.configuration.runconfig import PyTorchConfiguration as PyTorchConfiguration
from runlore.configuration.runconfig import RunConfiguration as RunConfiguration
from runlore.configuration.runconfig import TensorflowConfiguration as TensorflowConfiguration

EnvironmentDefinition = Environment  # As Azure's first versions called it.

# Names of images for scripts that pass them on; nothing here pulls one.
DEFAULT_CPU_IMAGE = "azureml/openmpi4.1.0-ubuntu22.04"
DEFAULT_GPU_IMAGE = "azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04"
