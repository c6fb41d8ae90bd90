"""Azure's `azureml.core.script_run_config`."""

from runlore.configuration.script_run_config import ScriptRunConfig as ScriptRunConfig
from runlore.configuration.script_run_config import (
    get_run_config_from_script_run as get_run_config_from_script_run,
)
