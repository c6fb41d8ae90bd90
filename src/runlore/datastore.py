"""Azure's `azureml.core.datastore`."""

from runlore.azure.uncovered import Datastore as Datastore
