"""Azure's `azureml.core.keyvault`."""

from runlore.azure.uncovered import Keyvault as Keyvault
