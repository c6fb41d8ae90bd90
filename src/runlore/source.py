"""What a run keeps of its source: a snapshot of a folder, and where git stood."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runlore.exceptions import SnapshotException

if TYPE_CHECKING:
    from runlore.domain.events import Event
    from runlore.session import Session


def source_of(
    session: Session, folder: Path | None
) -> tuple[dict[str, str | None], Sequence[Event]]:
    """The git properties and the snapshot event for a new run; nothing for None.

    Raises SnapshotException, with the way out, if the folder cannot be kept.
    """
    if folder is None:
        return {}, ()
    # Imported here: runs that keep no snapshot must not pay for it.
    from runlore.domain.errors import RunloreError
    from runlore.domain.events import SnapshotTaken
    from runlore.storage.git_info import git_properties
    from runlore.storage.snapshots import take_snapshot

    try:
        taken = take_snapshot(folder, session.artifacts)
    except RunloreError as error:
        raise SnapshotException(
            f"{error} (start_logging() keeps its snapshot_directory, by default the working "
            "folder; pass snapshot_directory=None to keep none)",
            error,
        ) from error
    event = SnapshotTaken(
        snapshot_id=taken.snapshot_id,
        manifest_sha256=taken.manifest_sha256,
        files=taken.files,
        nbytes=taken.nbytes,
    )
    properties: dict[str, str | None] = {**git_properties(folder, os.environ)}
    return {**properties, "ContentSnapshotId": taken.snapshot_id}, (event,)
