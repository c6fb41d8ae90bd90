"""A run's snapshot of a folder: taken once, and restored as a zip file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from runlore.domain.errors import ChangeRefusedError, UserError
from runlore.domain.run_commands import (
    AddProperties,
    KeepSnapshot,
)
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.sources import snapshot_of
from runlore.exceptions import SnapshotException
from runlore.storage import snapshots
from runlore.storage.safe_paths import safe_name


def keep_snapshot(run: RunHandle, folder: Path) -> str:
    """Keep a folder as the run's snapshot and return its id; see `Run.take_snapshot`."""
    run.session.writable()
    taken = snapshot_of(folder, run.artifacts)
    try:
        run.change(
            KeepSnapshot(taken.snapshot_id, taken.manifest_sha256, taken.files, taken.nbytes)
        )
    except ChangeRefusedError as error:
        raise SnapshotException(str(error), error) from error
    run.change(AddProperties({"ContentSnapshotId": taken.snapshot_id}))
    return taken.snapshot_id


def restore_snapshot(run: RunHandle, snapshot_id: str | None, folder: Path | None) -> Path:
    """Write the snapshot as a zip file into a folder, by default a temporary one."""
    state = run.fetch()
    if state.snapshot_id is None or state.snapshot_manifest is None:
        raise UserError(
            f"run {run.id} has no snapshot; start_logging(snapshot_directory=...) and "
            "take_snapshot() keep one"
        )
    if snapshot_id not in (None, state.snapshot_id):
        raise UserError(f"run {run.id} has snapshot {state.snapshot_id}, not {snapshot_id}")
    folder = Path(tempfile.mkdtemp()) if folder is None else folder
    # The log may be a stranger's, and the file's name must not lead out of the folder.
    name = f"{safe_name(state.snapshot_id).replace('/', '_')}.zip"
    target = (folder / name).absolute()
    return snapshots.restore_snapshot(state.snapshot_manifest, run.artifacts, target)
