"""Submitting a script of a project from the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runlore.configuration.conda_dependencies import CondaDependencies
from runlore.configuration.runconfig import RunConfiguration
from runlore.configuration.script_run_config import ScriptRunConfig
from runlore.domain.errors import UserError
from runlore.engine import places
from runlore.experiment import Experiment

if TYPE_CHECKING:
    from runlore.run import Run
    from runlore.workspace import Workspace


def submit_script(
    workspace: Workspace,
    experiment_name: str,
    script: str | None = None,
    arguments: Sequence[str] = (),
    *,
    project: str | os.PathLike[str] = ".",
    source_directory: str | os.PathLike[str] | None = None,
    run_configuration_name: str | None = None,
    target: str | None = None,
    conda_dependencies: str | os.PathLike[str] | None = None,
    not_secret: Sequence[str] = (),
) -> Run:
    """Submit a script with a run configuration of the project; return the run at once.

    The arguments take precedence over the run configuration's file; without a script, it is the
    file's, with its arguments or its command. Raises UserError if the file names none either.
    """
    configuration = _configuration(project, run_configuration_name)
    if script is not None:
        configuration.script, configuration.arguments = script, list(arguments)
        configuration.command = None
    elif not (configuration.script or configuration.command):
        raise UserError(
            "there is no script to submit: name one, or a runconfig that names one, for example "
            "runlore run submit-script train.py"
        )
    configuration.target = target or configuration.target
    if conda_dependencies is not None:
        dependencies = CondaDependencies(conda_dependencies)
        configuration.environment.python.conda_dependencies = dependencies
    config = ScriptRunConfig(
        str(places.folder_of(project) if source_directory is None else source_directory),
        script=configuration.script,
        arguments=configuration.arguments,
        command=configuration.command,
        run_config=configuration,
    )
    return Experiment(workspace, experiment_name).submit(config, not_secret=not_secret)


def _configuration(project: str | os.PathLike[str], name: str | None) -> RunConfiguration:
    if name is None:
        return RunConfiguration()
    is_default = os.fspath(project) == "."
    return RunConfiguration.load(None if is_default else places.folder_of(project), name)
