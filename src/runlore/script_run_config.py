"""Azure's `azureml.core.script_run_config`."""

from runlore.configuration.environment import Environment as Environment
from runlore.configuration.runconfig import DockerConfiguration as DockerConfiguration
from runlore.configuration.runconfig import MpiConfiguration as MpiConfiguration
from runlore.configuration.runconfig import PyTorchConfiguration as PyTorchConfiguration
from runlore.configuration.runconfig import RunConfiguration as RunConfiguration
from runlore.configuration.runconfig import TensorflowConfiguration as TensorflowConfiguration
from runlore.configuration.script_run_config import ScriptRunConfig as ScriptRunConfig
from runlore.configuration.script_run_config import (
    get_run_config_from_script_run as get_run_config_from_script_run,
)
