"""runlore: an embedded, event-sourced store for machine-learning runs.

Scripts written for the Azure ML SDK v1 run on it by changing the import (`azureml.core` to
`runlore`); `runlore.init()` starts a run in one line.
"""

import atexit
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from runlore.version import VERSION as VERSION

if TYPE_CHECKING:  # Each is loaded when it is first named: a command needs few of them.
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
    from runlore.script_run import ScriptRun as ScriptRun
    from runlore.workspace import Workspace as Workspace

__version__ = VERSION


@atexit.register
def _end_runs() -> None:
    # Registered this early, it is called after all that the program registers: see the module.
    at_exit = sys.modules.get("runlore.engine.exits.at_exit")
    if at_exit is not None:
        at_exit.end()


_PLACES: Final = {
    "ComputeTarget": "compute_target",
    "CondaDependencies": "configuration.conda_dependencies",
    "Dataset": "azure.uncovered",
    "Datastore": "azure.uncovered",
    "Environment": "configuration.environment",
    "Experiment": "experiment",
    "Keyvault": "azure.uncovered",
    "MetricValues": "engine.runs.metric_values",
    "Model": "azure.uncovered",
    "Run": "run",
    "RunConfiguration": "configuration.runconfig",
    "ScriptRun": "script_run",
    "ScriptRunConfig": "configuration.script_run_config",
    "ViewType": "experiment",
    "Workspace": "workspace",
    "get_run": "run",
    "init": "entry.init",
}
_OWN_PATH: Final = frozenset({"Dataset", "Datastore", "Keyvault", "MetricValues", "Model", "init"})
"""Those whose public path, for pickles and reprs, is this module's."""

_MODULES: Final = frozenset({"compute_target", "experiment", "run", "script_run", "workspace"})
"""The modules of Azure's names that `import runlore` also brings."""

if not TYPE_CHECKING:  # Type checkers know that other names are mistakes.

    def __getattr__(name: str) -> object:
        if name in _PLACES:
            member = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
            if name in _OWN_PATH:
                member.__module__ = __name__
            return globals().setdefault(name, member)
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        from runlore.run.guesses import no_attribute_of_runlore

        raise no_attribute_of_runlore(name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_MODULES})


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
