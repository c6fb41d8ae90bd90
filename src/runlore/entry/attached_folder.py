"""A project's folder and the workspace it is attached to: what `.azureml/` says.

A workspace is looked for, in this order: the folder of its name below the project; where neither
a name nor a folder is given, what RUNLORE_WORKSPACE_URI says; what the project's config leads to;
the project's folder itself; and `.runlore` below it (where `runlore.init()` puts one).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runlore.azure import config_file
from runlore.domain.errors import (
    ExperimentNotFound,
    RunloreError,
    UserError,
    WorkspaceNotFound,
)
from runlore.domain.ids import check_experiment_name, check_workspace_name
from runlore.engine import places
from runlore.entry.init import as_name
from runlore.workspace import Workspace

if TYPE_CHECKING:
    from runlore.run import Run

_EXPERIMENT: Final = "Experiment"
"""The key of the config that names the experiment; Azure's own config has none."""


def open_workspace(
    path: str | os.PathLike[str] = ".",
    name: str | None = None,
    *,
    resource_group: str | None = None,
    subscription_id: str | None = None,
) -> Workspace:
    """The workspace of a project's folder, or the one of a name; see the module's docstring.

    Raises WorkspaceNotFound, which says where it looked.
    """
    project = _project(path)
    if name is not None:
        check_workspace_name(name)
    for folder in _candidates(path, name):
        found = Workspace.open(folder)
        if name in (None, found.name):
            _check_group(found, resource_group, subscription_id)
            return found
        found.close()
    if name is not None:
        raise WorkspaceNotFound(
            f"no workspace {name!r} for {project}: looked in {project / name}, where the config "
            "leads, and in the folder itself; create it with `runlore workspace create -w "
            f"{name}` or Workspace.create({name!r}, path={str(project / name)!r})"
        )
    config_file.folder_of_config(config_file.find_config(project))  # Says what is missing.
    raise AssertionError("a config that leads to a workspace is a candidate")


def find_workspace(path: str | os.PathLike[str] = ".", name: str | None = None) -> Path:
    """The folder of the workspace that `open_workspace` opens, unopened: its log may be damaged.

    Raises WorkspaceNotFound, which says where it looked.
    """
    if name is not None:
        check_workspace_name(name)
        if not places.is_workspace(_project(path) / name):
            with open_workspace(path, name) as found:  # Only its log knows its name.
                assert found.path is not None, "found in a folder"
                return found.path
    for folder in _candidates(path, name):
        return folder
    config_file.folder_of_config(config_file.find_config(_project(path)))  # Says what is missing.
    raise AssertionError("a config that leads to a workspace is a candidate")


def attach(
    path: str | os.PathLike[str],
    workspace_name: str,
    *,
    experiment_name: str | None = None,
    resource_group: str | None = None,
    subscription_id: str | None = None,
) -> dict[str, str]:
    """Finds or makes a workspace and writes the project's `.azureml/`, which leads to it.

    A new workspace is the folder of its name below the project. The experiment, by default
    named after the folder, becomes the one that commands take where none is given. Sample
    run configurations that are there already stay as they are.
    """
    project = _project(path)
    if not project.is_dir():
        raise UserError(f"{project} is no folder; make it, or give the project's folder")
    check_workspace_name(workspace_name)
    experiment = check_experiment_name(experiment_name or _name_of(project))
    try:
        workspace = open_workspace(
            project, workspace_name, resource_group=resource_group, subscription_id=subscription_id
        )
    except WorkspaceNotFound:
        workspace = Workspace.create(
            workspace_name,
            path=project / workspace_name,
            resource_group=resource_group,
            subscription_id=subscription_id,
        )
    with workspace:
        try:
            workspace.write_config(project)
            _remember(project / ".azureml" / "config.json", experiment)
            _write_samples(project, list(workspace.compute_targets))
        except OSError as error:
            raise UserError(f"cannot write {project / '.azureml'}: {error.strerror}") from error
        return {
            "Experiment name": experiment,
            "Subscription id": workspace.subscription_id,
            "Resource group": workspace.resource_group,
            "Workspace name": workspace.name,
            "Project path": str(project),
        }


def submit_script(
    workspace: Workspace,
    experiment_name: str,
    script: str,
    arguments: Sequence[str] = (),
    *,
    project: str | os.PathLike[str] = ".",
    source_directory: str | os.PathLike[str] | None = None,
    run_configuration_name: str | None = None,
    target: str | None = None,
    conda_dependencies: str | os.PathLike[str] | None = None,
) -> Run:
    """Submits a script with a run configuration of the project, and returns the run at once."""
    from runlore.configuration.conda_dependencies import CondaDependencies
    from runlore.configuration.runconfig import RunConfiguration
    from runlore.configuration.script_run_config import ScriptRunConfig
    from runlore.experiment import Experiment

    folder = _project(project)
    if run_configuration_name is None:
        configuration = RunConfiguration()
    else:
        configuration = RunConfiguration.load(folder, run_configuration_name)
    # What the command line says stands over what the file says.
    configuration.script, configuration.arguments = script, list(arguments)
    configuration.command = None
    configuration.target = target or configuration.target
    if conda_dependencies is not None:
        dependencies = CondaDependencies(conda_dependencies)
        configuration.environment.python.conda_dependencies = dependencies
    config = ScriptRunConfig(
        str(folder if source_directory is None else source_directory),
        script=script,
        arguments=arguments,
        run_config=configuration,
    )
    return Experiment(workspace, experiment_name).submit(config)


def attached_experiment(path: str | os.PathLike[str] = ".") -> str:
    """The experiment that the project's folder was attached with. Raises ExperimentNotFound."""
    project = _project(path)
    try:
        name = config_file.read_config(config_file.find_config(project)).get(_EXPERIMENT)
    except WorkspaceNotFound:
        name = None
    if not isinstance(name, str):
        raise NoExperiment(project)
    return check_experiment_name(name)


class NoExperiment(ExperimentNotFound, UserError):
    """An experiment is needed, none was given, and the folder is attached to none."""

    def __init__(self, project: Path) -> None:
        RunloreError.__init__(
            self,
            f"which experiment? {project} is attached to none: give -e/--experiment-name, or "
            "attach the folder with `runlore folder attach -w WORKSPACE -e EXPERIMENT`",
        )
        self.project = project


def _project(path: str | os.PathLike[str]) -> Path:
    return places.folder_of(path)


def _candidates(path: str | os.PathLike[str], name: str | None) -> Iterator[Path]:
    project = _project(path)
    if name is not None and places.is_workspace(project / name):
        yield project / name
    uri = os.environ.get("RUNLORE_WORKSPACE_URI")
    if uri and name is None and os.fspath(path) == ".":
        yield places.folder_of(uri)
    configured = _configured(project, name)
    if configured is not None:
        yield configured
    for folder in (project, project / ".runlore"):
        if places.is_workspace(folder):
            yield folder


def _configured(project: Path, name: str | None) -> Path | None:
    """Where the config leads; one that leads nowhere is an error unless a name is looked for."""
    try:
        config = config_file.find_config(project)
    except WorkspaceNotFound:
        return None
    try:
        return config_file.folder_of_config(config)
    except UserError:
        if name is None:
            raise
        return None


def _check_group(
    workspace: Workspace, resource_group: str | None, subscription_id: str | None
) -> None:
    asked = (
        ("resource group", resource_group, workspace.resource_group),
        ("subscription", subscription_id, workspace.subscription_id),
    )
    for what, wanted, held in asked:
        if wanted is not None and held and wanted != held:
            where = workspace.path
            name = workspace.name
            workspace.close()
            raise WorkspaceNotFound(
                f"the workspace {name!r} in {where} has the {what} {held!r}, not {wanted!r}"
            )


def _name_of(project: Path) -> str:
    return as_name(project.resolve().name, "experiment")[:255]


def _remember(config: Path, experiment: str) -> None:
    fields = {**config_file.read_config(config), _EXPERIMENT: experiment}
    config.write_text(json.dumps(fields, indent=4) + "\n")


def _write_samples(project: Path, targets: Sequence[str]) -> None:
    """A run configuration for this machine, one with Docker, and one per compute target."""
    from runlore.configuration.runconfig import RunConfiguration

    for name in dict.fromkeys(["local", "docker", *targets]):
        file = f"{name}.runconfig"
        if (project / ".azureml" / file).exists() or (project / ".azureml" / name).exists():
            continue
        configuration = RunConfiguration()
        if name == "docker":
            configuration.docker.use_docker = True
        else:
            configuration.target = name
        configuration.save(project, file)
