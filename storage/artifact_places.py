"""The place in which a workspace's artifacts are: its own folder, or where this user says.

Neither a link in the workspace nor anything in its log leads to another place: both may come from
a stranger, who would choose which of the reader's files are read or replaced.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import unquote, urlsplit

from runlore.domain.errors import InvalidInput, RunloreError, UserError
from runlore.storage.artifact_backend import ArtifactBackend
from runlore.storage.artifact_folder import ArtifactFolder
from runlore.storage.held_folder import UnsafeEntry
from runlore.storage.held_path import HeldPath, hold
from runlore.storage.object_errors import StoreLibraryMissing
from runlore.storage.object_places import ObjectPlace, is_object_uri, object_place
from runlore.storage.ownership import is_trusted_place
from runlore.storage.user_settings import settings_file, user_settings

ARTIFACTS: Final = "artifacts"
"""The folder's name in a workspace."""

WAITING: Final = "waiting"
"""The name of the folder for what an object store has not taken yet."""


ArtifactPlace: TypeAlias = HeldPath | ObjectPlace
"""Where artifacts are: a folder of this machine, or a prefix in an object store."""


def how_to_set(workspace: object, folder: str) -> str:
    """The advice to name a place for a workspace's artifacts in the user's settings."""
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


class PlaceNotTrusted(UserError):
    """The log says where the files are, and this user has not said that it may be believed."""

    def __init__(self, uri: str) -> None:
        super().__init__(
            f"the log says that the files of this workspace are in {uri!r:.500}, which is text "
            "that whoever wrote the log has chosen; if you trust that place, run `runlore trust "
            "PLACE` with it, or open the workspace with artifacts=PLACE"
        )
        self.uri = uri


def given_place(place: str | os.PathLike[str], *, make: bool = False) -> ArtifactPlace:
    """A place for artifacts that the caller named: a folder, its file: URI, or an object store's.

    `make` a folder if its parent is there. Raises InvalidInput for another address, and if there is
    no such folder: perhaps its disk is not mounted.
    """
    text = os.fspath(place)
    if is_object_uri(text):
        return object_place(text)
    path = Path(_path_in(text))
    try:
        if make and path.parent.is_dir():
            path.mkdir(exist_ok=True)
        return hold(path)
    except OSError as error:
        raise InvalidInput(
            f"artifacts={text!r} cannot be used: {error.strerror}; give an existing folder, or an "
            "object store as s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
        ) from error


def place_of_artifacts(
    workspace: HeldPath, workspace_id: str, *, erasable: bool, in_log: str | None = None
) -> ArtifactPlace:
    """The place of a workspace's artifacts: that of this user's settings, or `in_log`, or its own.

    The settings name workspaces by their folder or id. The id does not count for an erasable
    workspace: every copy has it, and erasing a run of a copy must not remove another one's files.
    What the log says counts if this user trusts the place, and never in an erasable one. Raises
    PlaceNotTrusted, ArtifactFolderMissing, and ArtifactsLinked if the workspace's own is a symbolic
    link.
    """
    chosen = _chosen(workspace, None if erasable else workspace_id)
    if chosen is None and in_log is not None and not erasable:
        if not is_trusted_place(in_log):
            raise PlaceNotTrusted(in_log)
        chosen = in_log
    if chosen is None:
        return _own(workspace)
    if is_object_uri(chosen):
        return object_place(chosen)
    folder = Path(_path_in(chosen))
    try:
        return hold(folder)
    except OSError as error:
        raise ArtifactFolderMissing(workspace, folder, error) from error


def backend_of(
    place: ArtifactPlace, workspace: HeldPath | None, warn: Callable[[str], None]
) -> ArtifactBackend:
    """The artifacts at a place; what an object store does not take waits in the workspace.

    `warn` is told when something begins to wait. Raises StoreLibraryMissing without the library.
    """
    if isinstance(place, HeldPath):
        return ArtifactFolder(place)
    try:  # Imported here: most workspaces have their files in a folder.
        from runlore.storage.artifact_objects import ArtifactObjects
        from runlore.storage.artifact_waiting import WaitingArtifacts
    except ImportError:
        raise StoreLibraryMissing(str(place)) from None

    objects = ArtifactObjects(place)
    if workspace is None:
        return objects
    return WaitingArtifacts(objects, ArtifactFolder(workspace / WAITING), warn=warn)


def uri_of(place: ArtifactPlace) -> str:
    """The address of a place, as the log keeps it."""
    return place.plain.as_uri() if isinstance(place, HeldPath) else str(place)


def _path_in(text: str) -> str:
    """The path that a text or a file: URI names. Raises InvalidInput for another URI."""
    if not text.startswith("file:"):
        if "://" in text:
            raise InvalidInput(
                f"files cannot be kept in a place of the scheme {text.partition(':')[0]!r:.40}; "
                "give a folder, file:///folder, s3://bucket/prefix, gs://bucket/prefix or "
                "az://container/prefix"
            )
        return os.path.abspath(text)
    split = urlsplit(text)
    if split.netloc.lower() not in ("", "localhost") or not split.path.startswith("/"):
        raise InvalidInput(f"{text!r:.200} is not the URI of a folder of this machine")
    return os.path.abspath(unquote(split.path))


def _own(workspace: HeldPath) -> HeldPath:
    own = workspace / ARTIFACTS
    target = own.read_link()
    if target is not None:
        raise ArtifactsLinked(own, target)
    return own


def _chosen(workspace: HeldPath, workspace_id: str | None) -> str | None:
    chosen = user_settings().artifacts
    for name, place in chosen.items():
        if os.path.isabs(name) and _is_at(workspace, name):
            return place
    return None if workspace_id is None else chosen.get(workspace_id)


def _is_at(workspace: HeldPath, path: str) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == workspace.folder.identity
