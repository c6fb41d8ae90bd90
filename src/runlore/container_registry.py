"""Azure's `azureml.core.container_registry`, as data."""

from runlore.configuration.environment import ContainerRegistry as ContainerRegistry
from runlore.configuration.environment import RegistryIdentity as RegistryIdentity
