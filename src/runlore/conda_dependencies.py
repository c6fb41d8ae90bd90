"""Azure's `azureml.core.conda_dependencies`."""

from runlore.configuration.conda_dependencies import CondaDependencies as CondaDependencies
