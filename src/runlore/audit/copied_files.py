"""The files of a workspace that is moved: those of its audit, and those of its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runlore.audit.folder import AuditFolder
from runlore.storage.artifact_folder import ArtifactFolder
from runlore.storage.artifact_places import folder_of_artifacts
from runlore.storage.artifacts import CHUNK_NBYTES, artifacts_below
from runlore.storage.atomic_files import replacing
from runlore.storage.held_trees import remove_tree, walk

if TYPE_CHECKING:
    from collections.abc import Collection

    from runlore.engine.session import LiveSession
    from runlore.storage.held_path import HeldPath

_TMP = "tmp"


def copy_audit(source: HeldPath, target: HeldPath) -> int:
    """Copy checkpoints, trusted keys and the rest; returns the number of files."""
    folder = AuditFolder(source).path
    if not folder.is_folder():
        return 0
    count = 0
    for name, entry in walk(folder):
        if not entry.is_file:
            continue
        with replacing(_below(AuditFolder(target).path, name)) as file:
            file.write(entry.path.read_bytes())
        count += 1
    return count


def copy_artifacts(session: LiveSession, held: HeldPath) -> int:
    """Copy the files of runs, unless both workspaces have them in the same folder.

    Returns their number. Files that are there already are not written again.
    """
    folder = session.artifact_folder
    target_folder = _artifacts_at(session, held)
    source, target = artifacts_below(folder), artifacts_below(target_folder)
    if source.is_same_as(target) or not folder.is_folder():
        return 0
    count = 0
    for name, entry in walk(folder, lambda name, is_folder: name.rpartition("/")[2] != _TMP):
        if not entry.is_file:
            continue
        if session.erasable:
            _copy_sealed(name, entry.path, target_folder)
        else:
            target.put_path_unless_held(entry.path)
        count += 1
    return count


def remove_files_of(runs: Collection[str], session: LiveSession, held: HeldPath) -> None:
    """Remove the files of erased runs from the copy: it may be older than their erasure."""
    folder = _artifacts_at(session, held)
    if folder.is_folder():
        for name in {*folder.names()} & {*runs}:
            remove_tree(folder / name)


def _copy_sealed(name: str, source: HeldPath, folder: HeldPath) -> None:
    """Copy a file of one run as it is: its name and bytes are made with the run's key."""
    run_id, *_, own_name = name.split("/")
    store = ArtifactFolder(folder / run_id)
    if not store.holds(own_name, source.stat().st_size):
        with source.open_file() as file, store.staged() as staged:
            while chunk := file.read(CHUNK_NBYTES):
                staged.write(chunk)
            staged.publish(own_name)
    store.sync(own_name)


def _artifacts_at(session: LiveSession, held: HeldPath) -> HeldPath:
    workspace_id = session.workspace.workspace_id
    return folder_of_artifacts(held, workspace_id, erasable=session.erasable)


def _below(folder: HeldPath, name: str) -> HeldPath:
    for part in name.split("/"):
        folder = folder / part
    return folder
