"""The files of a workspace that is moved: those of its audit, and those of its runs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from runlore.audit.folder import AuditFolder
from runlore.engine.caller_warning import warn_caller
from runlore.storage.artifact_places import backend_of, place_of_artifacts
from runlore.storage.artifacts import CHUNK_NBYTES, ArtifactStore
from runlore.storage.atomic_files import replacing
from runlore.storage.held_trees import walk

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from runlore.engine.session import LiveSession
    from runlore.storage.artifact_backend import ArtifactBackend
    from runlore.storage.held_path import HeldPath


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
    """Copy the files of runs, unless both workspaces have them in the same place.

    Returns their number. Files that are there already are not written again. Raises
    StoreUnavailable.
    """
    session.deliver_files()  # What waits for a store is in the folder, which stays behind.
    source, target = session.artifact_backend, _backend_at(session, held)
    if not session.erasable:
        count, _ = ArtifactStore(target).take_all(ArtifactStore(source))
        return count
    if source.is_same_as(target):
        return 0
    return sum(_copy_sealed(source.below(run), target.below(run)) for run in source.parts())


def remove_files_of(runs: Collection[str], session: LiveSession, held: HeldPath) -> None:
    """Remove the files of erased runs from the copy: it may be older than their erasure."""
    target = _backend_at(session, held)
    for run in {*target.parts()} & {*runs}:
        target.below(run).remove_all()


def _copy_sealed(source: ArtifactBackend, target: ArtifactBackend) -> int:
    """Copy the files of one run as they are: names and bytes are made with the run's key."""
    count = 0
    for name in source.names():
        if not target.holds(name):
            target.store(name, partial(_chunks, source, name))
        target.sync(name)
        count += 1
    return count


def _chunks(source: ArtifactBackend, name: str) -> Iterator[bytes]:
    with source.open(name) as file:
        while chunk := file.read(CHUNK_NBYTES):
            yield chunk


def _backend_at(session: LiveSession, held: HeldPath) -> ArtifactBackend:
    workspace = session.workspace
    place = place_of_artifacts(
        held, workspace.workspace_id, erasable=session.erasable, in_log=workspace.files_uri
    )
    return backend_of(place, held, warn_caller)


def _below(folder: HeldPath, name: str) -> HeldPath:
    for part in name.split("/"):
        folder = folder / part
    return folder
