"""The evidence of a run's source: a snapshot of a folder, and its git state."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runlore.domain.errors import InvalidType, RunloreError
from runlore.domain.events import Event, SnapshotTaken
from runlore.engine.caller_warning import warn_caller
from runlore.engine.places import is_workspace
from runlore.exceptions import SnapshotException
from runlore.storage.left_out import LeftOut

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession
    from runlore.storage.artifacts import ArtifactStore
    from runlore.storage.snapshots import Snapshot


def source_evidence(
    session: LiveSession, run_id: str, snapshot_directory: str | os.PathLike[str] | None
) -> tuple[dict[str, str | None], Sequence[Event]]:
    """The git properties and the snapshot event for a new run; nothing for None.

    The default "." keeps nothing, with one warning, if the working folder is itself a workspace.
    Raises SnapshotException, which names the remedy, if the folder cannot be kept.
    """
    if snapshot_directory is None:
        return {}, ()
    if not isinstance(snapshot_directory, str | os.PathLike):
        raise InvalidType(
            f"snapshot_directory must be a path or None, got {snapshot_directory!r:.80}"
        )
    folder = Path(snapshot_directory)
    if folder == Path() and is_workspace(folder):
        _warn_of_no_snapshot(session)
        return {}, ()
    # Imported here: runs that keep no snapshot must not pay for it.

    taken = snapshot_of(
        folder,
        session.artifacts_of(run_id),
        " (start_logging() keeps its snapshot_directory, by default the working folder; "
        "pass snapshot_directory=None to keep none)",
    )
    event = SnapshotTaken(
        snapshot_id=taken.snapshot_id,
        manifest_sha256=taken.manifest_sha256,
        files=taken.files,
        nbytes=taken.nbytes,
    )
    return {**git_properties_of(folder), "ContentSnapshotId": taken.snapshot_id}, (event,)


def git_properties_of(folder: Path) -> dict[str, str | None]:
    """The folder's git state as properties of a run; empty without a repository."""
    # Imported here: runs that keep no snapshot do not pay for subprocess.
    from runlore.storage.git_info import git_properties

    return {**git_properties(folder, os.environ)}


def snapshot_of(folder: Path, artifacts: ArtifactStore, advice: str = "") -> Snapshot:
    """Store the folder's snapshot; warn about links that lead out of it and the like.

    Raises SnapshotException, with the advice.
    """
    from runlore.storage.snapshots import take_snapshot

    left_out = LeftOut()
    try:
        taken = take_snapshot(folder, artifacts, left_out=left_out)
    except RunloreError as error:
        raise SnapshotException(f"{error}{advice}", error) from error
    if left_out.count:
        warn_caller(
            f"{left_out.count:,} entries of {os.fspath(folder)!r} were left out of the snapshot: "
            f"{left_out}; put copies in their place, or name them in its ignore file"
        )
    return taken


def _warn_of_no_snapshot(session: LiveSession) -> None:
    if not session.warned_of_no_snapshot:
        session.warned_of_no_snapshot = True
        warn_caller(
            f"the working folder {Path.cwd()} is itself a runlore workspace, so runs keep no "
            "snapshot of it; work in another folder, or pass snapshot_directory=None"
        )
