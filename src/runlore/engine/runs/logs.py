"""A run's log files: kept ones, and those that a submitted script is writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Final

from runlore.engine.runs.files import is_stored, open_file
from runlore.engine.runs.handle import RunHandle
from runlore.storage.artifact_backend import ArtifactMissing
from runlore.storage.held_path import AnyPath, HeldPath
from runlore.storage.held_trees import walk
from runlore.storage.run_folder import RunFolder
from runlore.storage.safe_paths import UnsafePath

LOG_FOLDERS: Final = ("logs/", "user_logs/", "system_logs/", "azureml-logs/")


def log_files(run: RunHandle) -> dict[str, AnyPath]:
    """The paths of the log files by name: kept ones, and those that are being written."""
    run.fetch()
    return {**_live_logs(run), **_kept_logs(run)}


def log_uris(run: RunHandle) -> dict[str, str]:
    """The addresses of the log files by name, for people and other programs."""
    return {
        name: (path.plain if isinstance(path, HeldPath) else path).absolute().as_uri()
        for name, path in log_files(run).items()
    }


def read_log(run: RunHandle, name: str) -> bytes:
    """A log's content; empty if the script has removed it."""
    # When a run ends, its logs move into the store, where the second attempt finds them.
    for _ in range(2):
        path = log_files(run).get(name)
        log = None if path is None else open_log(run, path)
        if log is not None:
            with log:
                return log.read()
    return b""


def open_log(run: RunHandle, path: AnyPath) -> IO[bytes] | None:
    """A file of `log_files`, for reading; None if it is gone by now."""
    try:
        for name, kept in _kept_logs(run).items():
            if kept == path:  # It may be sealed.
                return open_file(run, name)
        return path.open_file() if isinstance(path, HeldPath) else None
    except (FileNotFoundError, ArtifactMissing):
        return None


def _kept_logs(run: RunHandle) -> dict[str, AnyPath]:
    """The paths in the artifact store of the log files that are kept there."""
    digests = {
        name: artifact.sha256
        for name, artifact in run.state.artifacts.items()
        if name.startswith(LOG_FOLDERS) and artifact.sha256 is not None and is_stored(artifact)
    }
    artifacts = run.artifacts if digests else None
    return {
        name: path
        for name, sha256 in digests.items()
        if artifacts and (path := artifacts.path(sha256))
    }


def _live_logs(run: RunHandle) -> dict[str, AnyPath]:
    state, workspace = run.state, run.session.executing
    if state.definition is None or workspace is None:
        return {}
    folder = RunFolder(workspace, run.id)
    watched = state.definition.get("watched") or ()
    names = ("user_logs", *(name for name in watched if isinstance(name, str)))
    return {file: path for name in names for file, path in _files_below(folder, name)}


def _files_below(folder: RunFolder, name: str) -> Iterator[tuple[str, HeldPath]]:
    """The files that a script has written below a folder of its own; none that may not be read.

    The name is from the log, and the folder the script's: neither leads to a file elsewhere.
    """
    # A run that ends removes its folder; another user's cannot be entered.
    with suppress(UnsafePath, OSError):
        for below, entry in walk(folder.log_path(name)):
            if entry.is_file:
                yield f"{name}/{below}", entry.path
