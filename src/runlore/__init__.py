"""runlore: an embedded, event-sourced store for machine-learning runs.

Scripts written for the Azure ML SDK v1 run on it by changing the import (`azureml.core` to
`runlore`); `runlore.init()` starts a run in one line.
"""

from typing import TYPE_CHECKING

from runlore.azure.uncovered import Dataset as Dataset
from runlore.azure.uncovered import Datastore as Datastore
from runlore.azure.uncovered import Keyvault as Keyvault
from runlore.azure.uncovered import Model as Model
from runlore.compute_target import ComputeTarget as ComputeTarget
from runlore.configuration.conda_dependencies import CondaDependencies as CondaDependencies
from runlore.configuration.environment import Environment as Environment
from runlore.configuration.runconfig import RunConfiguration as RunConfiguration
from runlore.configuration.script_run_config import ScriptRunConfig as ScriptRunConfig
from runlore.engine.runs.metric_values import MetricValues as MetricValues
from runlore.entry.init import init as init
from runlore.experiment import Experiment as Experiment
from runlore.experiment import ViewType as ViewType
from runlore.run import Run as Run
from runlore.run import get_run as get_run
from runlore.run.guesses import no_attribute_of_runlore as _no_attribute
from runlore.script_run import ScriptRun as ScriptRun
from runlore.version import VERSION as VERSION
from runlore.workspace import Workspace as Workspace

__version__ = VERSION

if not TYPE_CHECKING:  # Type checkers know that other names are mistakes.

    def __getattr__(name: str) -> object:
        raise _no_attribute(name)


for public in (Dataset, Datastore, Keyvault, MetricValues, Model, init):
    public.__module__ = __name__  # Their public path, for pickles and reprs.
del public

__all__ = [
    "VERSION",
    "ComputeTarget",
    "CondaDependencies",
    "Dataset",
    "Datastore",
    "Environment",
    "Experiment",
    "Keyvault",
    "MetricValues",
    "Model",
    "Run",
    "RunConfiguration",
    "ScriptRun",
    "ScriptRunConfig",
    "ViewType",
    "Workspace",
    "__version__",
    "get_run",
    "init",
]
