"""Files of a run by reference: named in the log, and fetched only from places that are allowed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from runlore.domain.errors import UserError
from runlore.domain.run_commands import AddArtifacts
from runlore.domain.run_state import Artifact
from runlore.engine.checks import as_count
from runlore.engine.runs.files import artifact_of
from runlore.engine.runs.handle import RunHandle
from runlore.storage.artifacts import checked_digest
from runlore.storage.held_path import AnyPath, hold
from runlore.storage.references import fetch
from runlore.storage.safe_paths import held_destination, safe_name


def add_reference(
    run: RunHandle, name: str, uri: str, *, size: int | None, sha256: str | None
) -> None:
    """Name a file that stays where it is; see `Run.add_reference`."""
    run.session.writable()
    safe_name(name)
    if isinstance(uri, os.PathLike) or (isinstance(uri, str) and os.path.isabs(uri)):
        uri = Path(uri).absolute().as_uri()
    if sha256 is not None:
        checked_digest(sha256)
    nbytes = None if size is None else as_count("size", size)
    run.change(AddArtifacts({name: Artifact(sha256, nbytes, uri)}))


def fetch_reference(
    run: RunHandle, name: str, target: Path, allow: Iterable[str | os.PathLike[str]]
) -> None:
    """Write the file at a reference to a path; in an existing folder, it gets its base name."""
    artifact = artifact_of(run, name)
    if artifact.uri is None:
        raise UserError(
            f"{name!r} of run {run.id} is stored, not a reference; download_file() writes it"
        )
    destination: AnyPath = target
    if target.is_dir():
        destination = held_destination(hold(target), name.rpartition("/")[2])
    fetch(artifact.uri, allow, destination, nbytes=artifact.nbytes, sha256=artifact.sha256)
