"""Attaching a project's folder to a workspace and an experiment, in its `.azureml/`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runlore.azure import config_file
from runlore.domain.errors import ExperimentNotFound, RunloreError, UserError, WorkspaceNotFound
from runlore.domain.ids import check_experiment_name
from runlore.engine import places
from runlore.engine.places import NotTrusted
from runlore.entry.default_names import experiment_of_folder
from runlore.entry.workspace_address import create_workspace, open_workspace

_EXPERIMENT: Final = "Experiment"
"""The config's key for the experiment; Azure's own configs do not have it."""


class NoExperiment(ExperimentNotFound, UserError):
    """An experiment is needed, none was given, and the folder is attached to none."""

    def __init__(self, project: Path) -> None:
        RunloreError.__init__(
            self,
            f"which experiment? {project} is not attached to one: give -e/--experiment-name, or "
            "attach the folder with `runlore folder attach -w WORKSPACE -e EXPERIMENT`",
        )
        self.project = project


def attach(
    path: str | os.PathLike[str],
    workspace: str,
    *,
    experiment_name: str | None = None,
    resource_group: str | None = None,
    subscription_id: str | None = None,
) -> dict[str, str]:
    """Find or create a workspace, and write the project's `.azureml/`, which points to it.

    The workspace is given by its name, folder or URI; with a name, a new one is created in the
    folder of that name below the project. The experiment, by default named after the folder,
    becomes the default of commands. Existing run configurations stay as they are.
    """
    project = places.folder_of(path)
    if not project.is_dir():
        raise UserError(f"{project} is not a folder; create it, or give the project's folder")
    experiment = check_experiment_name(
        experiment_name or experiment_of_folder(project.resolve().name)
    )
    azure = {"resource_group": resource_group, "subscription_id": subscription_id}
    try:
        found = open_workspace(project, workspace, **azure)
    except WorkspaceNotFound:
        found = create_workspace(project, workspace, **azure)
    with found:
        try:
            found.write_config(project)
            _remember(project / ".azureml" / "config.json", experiment)
            _write_samples(project, list(found.compute_targets))
        except OSError as error:
            raise UserError(
                f"cannot write {project / '.azureml'}: {error.strerror or error}"
            ) from error
        return {
            "Experiment name": experiment,
            "Subscription id": found.subscription_id,
            "Resource group": found.resource_group,
            "Workspace name": found.name,
            "Project path": str(project),
        }


def attached_experiment(path: str | os.PathLike[str] = ".") -> str:
    """The experiment that the project's folder is attached to. Raises ExperimentNotFound."""
    project = places.folder_of(path)
    try:
        config = config_file.find_config(None if os.fspath(path) == "." else project)
        name = config_file.read_config(config.file).get(_EXPERIMENT)
    except NotTrusted:
        raise
    except WorkspaceNotFound:
        name = None
    if not isinstance(name, str):
        raise NoExperiment(project)
    return check_experiment_name(name)


def _remember(config: Path, experiment: str) -> None:
    fields = {**config_file.read_config(config), _EXPERIMENT: experiment}
    config.write_text(json.dumps(fields, indent=4) + "\n", encoding="utf-8")


def _write_samples(project: Path, targets: Sequence[str]) -> None:
    """A run configuration for this machine, one with Docker, and one per compute target."""
    for name in dict.fromkeys(["local", "docker", *targets]):
        file = f"{name}.runconfig"
        if (project / ".azureml" / file).exists() or (project / ".azureml" / name).exists():
            continue
        from runlore.configuration.runconfig import RunConfiguration

        configuration = RunConfiguration()
        if name == "docker":
            configuration.docker.use_docker = True
        else:
            configuration.target = name
        configuration.save(project, file)
