"""Azure's `azureml.core.model`."""

from runlore.azure.uncovered import Model as Model
