"""Azure's `config.json`, which points from a project to its workspace."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from runlore.domain.errors import UserError, WorkspaceNotFound
from runlore.engine.places import (
    check_workspace,
    folders_above,
    is_workspace,
    may_use,
    search_start,
)
from runlore.storage.ownership import foreign

_FOLDERS: Final = (".azureml", "aml_config", ".")
_NAMES: Final = ("config.json", "project.json")
_KEYS: Final = ("Path", "Scope", "workspace_name")
_MAX_NBYTES: Final = 1 << 20


class Config(NamedTuple):
    """A config file. `is_named` says that its user named it, or its folder: it was not searched."""

    file: Path
    is_named: bool

    @property
    def project(self) -> Path:
        """The folder that it belongs to."""
        above = self.file.parent
        return above.parent if above.name in _FOLDERS else above


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
    config.write_text(json.dumps(fields, indent=4) + "\n", encoding="utf-8")
    return config


def _from_project(workspace: Path | str, project: Path) -> str:
    if isinstance(workspace, str):
        return workspace
    folder, base = workspace.resolve(), project.resolve()
    return folder.relative_to(base).as_posix() if folder.is_relative_to(base) else str(folder)


def find_config(path: Path | None) -> Config:
    """The config of a path: the file itself, or the nearest one in or above the folder.

    Azure's order: each name is looked for in all folders up to the root before the next name.
    Without a path the search begins in the working folder, which nobody named.

    Raises WorkspaceNotFound, which says where it looked and how to create a workspace; NotTrusted
    for a file of somebody else's that was not named.
    """
    given = (path or Path.cwd()).expanduser()
    if given.is_file():
        return Config(given, is_named=True)
    start = search_start(given)
    for folder in _FOLDERS:
        for name in _NAMES:
            for above in folders_above(start):
                config = above / folder / name
                if os.path.isfile(config) and _counts(config, above, start, path is not None):
                    return Config(config, path is not None and above == start)
    raise config_not_found(start)


def configs_in(folder: Path, *, start: Path, is_named: bool) -> Iterator[Config]:
    """The configs of one folder on the way up from `start`, if they may be used.

    A file that lies in the folder itself counts only if it names a workspace: many programs have
    a `config.json`. `is_named` says that the user named `start`. Raises NotTrusted.
    """
    for place in _FOLDERS:
        for name in _NAMES:
            config = folder / place / name
            if not os.path.isfile(config) or (place == "." and not _names_a_workspace(config)):
                continue
            if _counts(config, folder, start, is_named):
                yield Config(config, is_named and folder == start)


def _counts(config: Path, above: Path, start: Path, is_named: bool) -> bool:
    if is_named and above == start:
        return True
    parts = (config.parent, config)
    if config.parent == above and not _names_a_workspace(config) and foreign(parts):
        return False  # Somebody else's file of another program.
    return may_use(config, parts, above, start=start)


def _names_a_workspace(config: Path) -> bool:
    try:
        fields = read_config(config)
    except UserError:
        return False
    return any(isinstance(fields.get(key), str) for key in _KEYS)


def config_not_found(start: Path) -> WorkspaceNotFound:
    """The error that says where a config was looked for, and how to create a workspace."""
    return WorkspaceNotFound(
        f"no workspace config for {start.absolute()}: looked for .azureml/config.json, "
        "aml_config/config.json, config.json and project.json there and in every folder above; "
        "create one with Workspace.create('my-workspace').write_config()"
    )


def address_in(config: Config) -> Path | str:
    """The folder or URI of the workspace that a config points to.

    Azure's own configs hold only the workspace's name: it is the folder of that name in the
    config's project. An absolute path and a URI are named by the config; a relative one is found
    in the project, like the config itself.

    Raises WorkspaceNotFound if there is no workspace in the folder, NotTrusted if it was found and
    belongs to somebody else.
    """
    name = name_in(config)
    where = read_config(config.file).get("Path") or name
    if not isinstance(where, str) or not where:
        raise UserError(
            f"{config.file} does not name a workspace: it needs 'Path', 'Scope' or "
            "'workspace_name'; write it again with workspace.write_config()"
        )
    if "://" in where:
        return where
    folder = config.project / where
    if not is_workspace(folder):
        raise WorkspaceNotFound(
            f"{config.file} points to {folder}, which is not a workspace; create it with "
            f"Workspace.create({name or 'my-workspace'!r}, path={str(folder)!r})"
        )
    if not (config.is_named or os.path.isabs(where)):
        check_workspace(folder, config.project)
    return folder


def name_in(config: Config) -> str:
    """The name of the workspace that a config points to, as far as it says one; else ""."""
    fields = read_config(config.file)
    return str(fields.get("workspace_name") or str(fields.get("Scope") or "").rpartition("/")[2])


def is_azures(config: Config) -> bool:
    """Whether the config holds only the name of a workspace, which may be in Azure."""
    return not isinstance(read_config(config.file).get("Path"), str)


def read_config(config: Path) -> dict[str, Any]:
    """The fields of a config file. Raises UserError if it cannot be read."""
    try:
        fields = json.loads(_text_of(config).decode("utf-8-sig"))
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(
            f"cannot read {config}: {error}; write it again with workspace.write_config()"
        ) from error
    if not isinstance(fields, dict):
        raise UserError(
            f"{config} does not hold a JSON object; write it again with workspace.write_config()"
        )
    return fields


def _text_of(config: Path) -> bytes:
    """The file's bytes. A pipe or an endless file raises instead of stopping the process."""
    with open(os.open(config, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_NBYTES:
            raise ValueError(f"it is not a file of at most {_MAX_NBYTES:,} bytes")
        return file.read(_MAX_NBYTES)
