"""A run's log files: kept ones, and those that a submitted script is writing."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from runlore.engine.runs.files import files_in, is_stored, open_file
from runlore.engine.runs.handle import RunHandle
from runlore.storage.artifact_backend import ArtifactMissing
from runlore.storage.run_folder import RunFolder

LOG_FOLDERS: Final = ("logs/", "user_logs/", "system_logs/", "azureml-logs/")


def log_files(run: RunHandle) -> dict[str, Path]:
    """The paths of the log files by name: kept ones, and those that are being written."""
    run.fetch()
    return {**_live_logs(run), **_kept_logs(run)}


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


def open_log(run: RunHandle, path: Path) -> BinaryIO | None:
    """A file of `log_files`, for reading; None if it is gone by now."""
    try:
        for name, kept in _kept_logs(run).items():
            if kept == path:  # It may be sealed.
                return open_file(run, name)
        return path.open("rb")
    except (FileNotFoundError, ArtifactMissing):
        return None


def _kept_logs(run: RunHandle) -> dict[str, Path]:
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


def _live_logs(run: RunHandle) -> dict[str, Path]:
    state, workspace = run.state, run.session.executing
    if state.definition is None or workspace is None:
        return {}
    folder = RunFolder(workspace, run.id)
    names = ("user_logs", *state.definition["watched"])
    return {
        file: path for name in names for file, path in files_in(name, folder.log_path(name), [])
    }
