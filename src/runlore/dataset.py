"""Azure's `azureml.core.dataset`."""

from runlore.azure.uncovered import Dataset as Dataset
