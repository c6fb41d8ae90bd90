"""The folder in which a workspace's artifacts are: in its own, or where this user says.

Neither a link in the workspace nor anything in its log leads to another folder: both may come from
a stranger, who would choose which of the reader's files are read or replaced.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from runlore.domain.errors import InvalidInput, RunloreError
from runlore.storage.held_folder import UnsafeEntry
from runlore.storage.held_path import HeldPath, hold
from runlore.storage.user_settings import settings_file, user_settings

ARTIFACTS: Final = "artifacts"
"""The folder's name in a workspace."""


def how_to_set(workspace: object, folder: str) -> str:
    """The advice to name a folder for a workspace's artifacts in the user's settings."""
    setting = json.dumps({"artifacts": {str(workspace): folder}}, ensure_ascii=False)
    return f"put {setting} into your settings in {settings_file()}"


class ArtifactsLinked(UnsafeEntry):
    """A workspace's folder of artifacts is a symbolic link, which is not followed."""

    def __init__(self, link: HeldPath, target: str) -> None:
        workspace = link.parent
        folder = os.path.normpath(os.path.join(str(workspace), target))
        super().__init__(
            link,
            f"it is a symbolic link to {target!r:.200}",
            f"if you trust that folder, open the workspace with artifacts={folder!r}, or "
            f"{how_to_set(workspace, folder)}; then remove the link",
        )
        self.target = target


class ArtifactFolderMissing(RunloreError, OSError):
    """The folder in which the artifacts of a workspace are, as its user says, is not there."""

    def __init__(self, workspace: object, folder: Path, error: OSError) -> None:
        super().__init__(
            f"the artifacts of {workspace} are in {folder}, by your settings in {settings_file()}, "
            f"and that folder cannot be used: {error.strerror}; mount the disk, make the folder, "
            "or correct the setting"
        )
        self.folder = folder
        self.errno = error.errno


def given_folder(folder: str | os.PathLike[str], *, make: bool = False) -> HeldPath:
    """A folder for artifacts that the caller named; `make` it if its parent is there.

    Raises InvalidInput if there is no such folder: perhaps its disk is not mounted.
    """
    path = Path(os.path.abspath(folder))
    try:
        if make and path.parent.is_dir():
            path.mkdir(exist_ok=True)
        return hold(path)
    except OSError as error:
        raise InvalidInput(
            f"artifacts={str(folder)!r} cannot be used: {error.strerror}; give an existing folder"
        ) from error


def folder_of_artifacts(workspace: HeldPath, workspace_id: str, *, erasable: bool) -> HeldPath:
    """The folder of a workspace's artifacts: the one that this user's settings name, or its own.

    The settings name workspaces by their folder or id. The id does not count for an erasable
    workspace: every copy has it, and erasing a run of a copy must not remove another one's files.
    Raises ArtifactFolderMissing, and ArtifactsLinked if the workspace's own is a symbolic link.
    """
    chosen = _chosen(workspace, None if erasable else workspace_id)
    if chosen is None:
        return _own(workspace)
    try:
        return hold(chosen)
    except OSError as error:
        raise ArtifactFolderMissing(workspace, chosen, error) from error


def _own(workspace: HeldPath) -> HeldPath:
    own = workspace / ARTIFACTS
    target = own.read_link()
    if target is not None:
        raise ArtifactsLinked(own, target)
    return own


def _chosen(workspace: HeldPath, workspace_id: str | None) -> Path | None:
    chosen = user_settings().artifacts
    for name, folder in chosen.items():
        if os.path.isabs(name) and _is_at(workspace, name):
            return Path(folder)
    found = None if workspace_id is None else chosen.get(workspace_id)
    return None if found is None else Path(found)


def _is_at(workspace: HeldPath, path: str) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == workspace.folder.identity
