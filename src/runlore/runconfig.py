"""Azure's `azureml.core.runconfig`."""

from runlore.configuration.conda_dependencies import CondaDependencies as CondaDependencies
from runlore.configuration.environment import Environment as Environment
from runlore.configuration.runconfig import DockerConfiguration as DockerConfiguration
from runlore.configuration.runconfig import HistoryConfiguration as HistoryConfiguration
from runlore.configuration.runconfig import MpiConfiguration as MpiConfiguration
from runlore.configuration.runconfig import PyTorchConfiguration as PyTorchConfiguration
from runlore.configuration.runconfig import RunConfiguration as RunConfiguration
from runlore.configuration.runconfig import TensorflowConfiguration as TensorflowConfiguration
