"""Azure's `azureml.core.environment`."""

from runlore.configuration.conda_dependencies import CondaDependencies as CondaDependencies
from runlore.configuration.environment import DockerBuildContext as DockerBuildContext
from runlore.configuration.environment import DockerSection as DockerSection
from runlore.configuration.environment import Environment as Environment
from runlore.configuration.environment import PythonSection as PythonSection
from runlore.configuration.environment import SparkSection as SparkSection
