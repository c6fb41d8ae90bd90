"""Azure's `config.json`, which points from a project to its workspace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from runlore.domain.errors import UserError, WorkspaceNotFound
from runlore.engine.places import is_workspace

_FOLDERS: Final = (".azureml", "aml_config", ".")
_NAMES: Final = ("config.json", "project.json")


def scope_of(subscription_id: str, resource_group: str, name: str) -> str:
    """Azure's address of a workspace."""
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{resource_group}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{name}"
    )


def write_config(workspace: Path | str, project: Path, file_name: str | None, scope: str) -> Path:
    """Write a project's config with the folder or URI of its workspace; return the config's path.

    A folder below the project is written relative to it, so that the project can be moved.
    """
    config = project / ".azureml" / (file_name or "config.json")
    config.parent.mkdir(parents=True, exist_ok=True)
    fields = {"Id": None, "Scope": scope, "Path": _from_project(workspace, project)}
    config.write_text(json.dumps(fields, indent=4) + "\n")
    return config


def _from_project(workspace: Path | str, project: Path) -> str:
    if isinstance(workspace, str):
        return workspace
    folder, base = workspace.resolve(), project.resolve()
    return folder.relative_to(base).as_posix() if folder.is_relative_to(base) else str(folder)


def find_config(path: Path | None) -> Path:
    """The config file for a path: the file itself, or the nearest one in or above the folder.

    Azure's order: each name is looked for in all folders up to the root before the next name.
    Raises WorkspaceNotFound, which says where it looked and how to create a workspace.
    """
    start = (path or Path.cwd()).expanduser()
    if start.is_file():
        return start
    for folder in _FOLDERS:
        for name in _NAMES:
            for above in (start.absolute(), *start.absolute().parents):
                if (above / folder / name).is_file():
                    return above / folder / name
    raise config_not_found(start)


def config_not_found(start: Path) -> WorkspaceNotFound:
    """The error that says where a config was looked for, and how to create a workspace."""
    return WorkspaceNotFound(
        f"no workspace config for {start.absolute()}: looked for .azureml/config.json, "
        "aml_config/config.json, config.json and project.json there and in every folder above; "
        "create one with Workspace.create('my-workspace').write_config()"
    )


def address_in(config: Path) -> Path | str:
    """The folder or URI of the workspace that a config file points to.

    Azure's own configs hold only the workspace's name: it is the folder of that name in the
    config's project. Raises WorkspaceNotFound if there is no workspace in the folder.
    """
    fields = read_config(config)
    project = config.parent.parent if config.parent.name in _FOLDERS else config.parent
    name = fields.get("workspace_name") or str(fields.get("Scope") or "").rpartition("/")[2]
    where = fields.get("Path") or name
    if not isinstance(where, str) or not where:
        raise UserError(
            f"{config} does not name a workspace: it needs 'Path', 'Scope' or 'workspace_name'; "
            "write it again with workspace.write_config()"
        )
    if "://" in where:
        return where
    folder = project / where
    if not is_workspace(folder):
        raise WorkspaceNotFound(
            f"{config} points to {folder}, which is not a workspace; create it with "
            f"Workspace.create({name or 'my-workspace'!r}, path={str(folder)!r})"
        )
    return folder


def read_config(config: Path) -> dict[str, Any]:
    """The fields of a config file. Raises UserError if it cannot be read."""
    try:
        fields = json.loads(config.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError) as error:
        raise UserError(
            f"cannot read {config}: {error}; write it again with workspace.write_config()"
        ) from error
    if not isinstance(fields, dict):
        raise UserError(
            f"{config} does not hold a JSON object; write it again with workspace.write_config()"
        )
    return fields
