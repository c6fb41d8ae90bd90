"""Where a workspace lives: folders, URIs and the config files that point to them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from runlore.domain.errors import InvalidInput, InvalidType, UserError, WorkspaceNotFound

LOG_NAME: Final = "log.sqlite"
"""A folder with this file in it is a workspace."""

_CONFIG_FOLDERS: Final = (".azureml", "aml_config", ".")
_CONFIG_NAMES: Final = ("config.json", "project.json")


def is_workspace(folder: Path) -> bool:
    """Whether the folder holds a workspace's log."""
    return (folder / LOG_NAME).is_file()


def make_folder(folder: Path) -> None:
    """Makes the folder of a workspace; git passes over it if it is new.

    A folder with something in it, and the working folder, may hold code: those stay as they are.
    """
    fresh = not folder.exists() or not any(folder.iterdir())
    folder.mkdir(parents=True, exist_ok=True)
    if fresh and not folder.samefile(Path.cwd()):
        (folder / ".gitignore").write_text("*\n")


def folder_of(path_or_uri: str | os.PathLike[str]) -> Path:
    """The folder that a path or a `sqlite:///` URI means.

    >>> folder_of("sqlite:///data/lab").as_posix()
    '/data/lab'
    """
    if not isinstance(path_or_uri, str | os.PathLike):
        raise InvalidType(f"a workspace's path must be a str or a path, got {path_or_uri!r:.80}")
    text = os.fspath(path_or_uri)
    if "\0" in text:
        raise InvalidInput(f"{text!r:.80} cannot be a path: it holds a null character")
    if "://" not in text:
        return Path(text).expanduser()
    uri = urlsplit(text)
    if uri.scheme != "sqlite" or uri.netloc:
        raise InvalidInput(
            f"cannot open {text!r}: this runlore knows folders and sqlite:///absolute/folder"
        )
    return Path(unquote(uri.path))


def uri_of(folder: Path) -> str:
    """The URI of a workspace's folder; the same for all paths that lead to it."""
    return "sqlite://" + quote(str(folder.resolve()))


def scope_of(subscription_id: str, resource_group: str, name: str) -> str:
    """Azure's address of a workspace."""
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{resource_group}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{name}"
    )


def write_config(folder: Path, target: Path, file_name: str | None, scope: str) -> Path:
    """Writes the config by which `find_config` leads to a workspace's folder; returns its path.

    The folder stands in it relative to the config if it lies below `target`, so that a project
    can be moved as a whole.
    """
    config = target / ".azureml" / (file_name or "config.json")
    config.parent.mkdir(parents=True, exist_ok=True)
    absolute, base = folder.resolve(), target.resolve()
    inside = absolute.is_relative_to(base)
    path = absolute.relative_to(base).as_posix() if inside else str(absolute)
    config.write_text(json.dumps({"Id": None, "Scope": scope, "Path": path}, indent=4) + "\n")
    return config


def find_config(path: Path | None) -> Path:
    """The config file for a path: the file itself, or the nearest one in or above the folder.

    Azure's order: for each name, all folders up to the root before the next name. Raises
    WorkspaceNotFound, which says where it looked and how to create a workspace.
    """
    start = (path or Path.cwd()).expanduser()
    if start.is_file():
        return start
    for folder in _CONFIG_FOLDERS:
        for name in _CONFIG_NAMES:
            for above in (start.absolute(), *start.absolute().parents):
                if (above / folder / name).is_file():
                    return above / folder / name
    raise WorkspaceNotFound(
        f"no workspace config for {start.absolute()}: looked for .azureml/config.json, "
        "aml_config/config.json, config.json and project.json there and in every folder above; "
        "create one with Workspace.create('my-workspace').write_config()"
    )


def folder_of_config(config: Path) -> Path:
    """The workspace's folder that a config file leads to.

    A config of Azure's own names only a workspace: then it is the folder of that name beside
    the config's project. Raises WorkspaceNotFound if there is no workspace there.
    """
    fields = read_config(config)
    project = config.parent.parent if config.parent.name in _CONFIG_FOLDERS else config.parent
    name = fields.get("workspace_name") or str(fields.get("Scope") or "").rpartition("/")[2]
    where = fields.get("Path") or name
    if not isinstance(where, str) or not where:
        raise UserError(
            f"{config} names no workspace: it needs 'Path', 'Scope' or 'workspace_name'; "
            "write it anew with workspace.write_config()"
        )
    folder = project / where
    if not is_workspace(folder):
        raise WorkspaceNotFound(
            f"{config} leads to {folder}, where there is no workspace; create it with "
            f"Workspace.create({name or 'my-workspace'!r}, path={str(folder)!r})"
        )
    return folder


def workspaces_in(folder: Path) -> Iterator[Path]:
    """The folder itself and its subfolders, those that are workspaces, sorted."""
    if is_workspace(folder):
        yield folder
    if folder.is_dir():
        yield from sorted(child for child in folder.iterdir() if is_workspace(child))


def read_config(config: Path) -> dict[str, Any]:
    """What a config file says. Raises UserError if it cannot be read."""
    try:
        fields = json.loads(config.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError) as error:
        raise UserError(
            f"cannot read {config}: {error}; write it anew with workspace.write_config()"
        ) from error
    if not isinstance(fields, dict):
        raise UserError(f"{config} holds no JSON object; write it anew with write_config()")
    return fields
