"""Files of a run by reference: named in the log, and fetched only from places that are allowed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from runlore.domain.errors import InvalidType, UserError
from runlore.domain.run import check_reference
from runlore.domain.run_commands import AddArtifacts
from runlore.domain.run_state import Artifact
from runlore.engine.checks import as_count
from runlore.engine.runs.files import artifact_of
from runlore.engine.runs.handle import RunHandle
from runlore.storage.artifacts import checked_digest
from runlore.storage.held_path import AnyPath, hold
from runlore.storage.look_at import Seen, look_at
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


def refer_to_file(run: RunHandle, name: str, path: Path) -> None:
    """Name a file of this machine, with its size and digest; see `Run.upload_file`."""
    if not path.is_file():
        raise UserError(f"cannot refer to {name!r}: there is no file {os.fspath(path)!r}")
    # Without links: whoever fetches it follows none.
    uri = Path(os.path.realpath(path)).as_uri()
    seen = look_at(uri)
    if seen.sha256 is None:
        raise UserError(
            f"cannot refer to {name!r}: {os.fspath(path)!r} cannot be read; make it readable for "
            "this user, or name it by add_reference()"
        )
    add_reference(run, name, uri, size=seen.nbytes, sha256=seen.sha256)


def log_artifact(run: RunHandle, uri: str, name: str | None) -> None:
    """Name a file by its URI; see `Run.log_artifact`."""
    if not isinstance(uri, str):
        raise InvalidType(f"log_artifact takes a URI as a str, got {type(uri).__name__}")
    if "://" not in uri and not uri.startswith("file:"):
        raise UserError(
            f"log_artifact takes the URI of a file that stays where it is, got {uri!r:.200}; keep "
            f"a copy by run.upload_file(name, {uri!r:.80}), or name its place by "
            "run.upload_file(name, path, copy=False)"
        )
    shown = check_reference(uri, "log_artifact") if name is None else uri
    last = unquote(shown.partition("?")[0].rstrip("/").rpartition("/")[2])
    run.session.writable()
    seen = look_at(uri) if _may_be_read(uri) else Seen(None, None)
    add_reference(run, last if name is None else name, uri, size=seen.nbytes, sha256=seen.sha256)


def _may_be_read(uri: str) -> bool:
    """Whether the URI can be kept; if not, `add_reference` says so, and nothing is asked."""
    try:
        check_reference(uri, "log_artifact")
    except UserError:
        return False
    return True


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
