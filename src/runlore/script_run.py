"""Azure's `azureml.core.script_run`."""

from runlore.run import Run as Run
from runlore.run import ScriptRun as ScriptRun
