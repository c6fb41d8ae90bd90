"""A run's log files: kept ones, and those that a submitted script is writing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, BinaryIO, Final, NamedTuple, TypeAlias, cast

from runlore.domain.errors import RunloreError
from runlore.engine.caller_warning import warn_caller
from runlore.engine.console.consoles import console_path
from runlore.engine.runs.files import (
    content_of,
    free_name,
    is_stored,
    keep_files,
    open_file,
)
from runlore.engine.runs.handle import RunHandle
from runlore.storage.artifact_backend import ArtifactMissing
from runlore.storage.held_path import HeldPath
from runlore.storage.held_trees import walk
from runlore.storage.run_folder import RunFolder
from runlore.storage.safe_paths import UnsafePath

CONSOLE_LOG: Final = "user_logs/std_log.txt"
"""The file of what an interactive run printed: the name that a submitted run's output has."""
LOG_FOLDERS: Final = ("logs/", "user_logs/", "system_logs/", "azureml-logs/")


class KeptLog(NamedTuple):
    """A log that is kept as a file of the run."""

    name: str


LogSource: TypeAlias = KeptLog | HeldPath
"""Where a log is: in the artifact store, or in a file that is being written."""


def log_files(run: RunHandle) -> dict[str, LogSource]:
    """Where the log files are, by name: kept ones, and those that are being written."""
    run.fetch()
    return {**_live_logs(run), **_kept_logs(run)}


def keep_console(run: RunHandle, *, of_dead: bool = False) -> None:
    """Keep what was printed while the run went on as a file of the run.

    Only by the process whose console it is, or that of one that is dead. Never raises.
    """
    session = run.session.writable()
    if not (session.consoles.close(run.id) or of_dead) or session.held is None:
        return
    console = console_path(session.held, run.id)
    try:
        if not console.is_file():
            return
        with console.open_file() as file:
            if os.fstat(file.fileno()).st_size:
                keep_files(run, {_console_name(run): cast(BinaryIO, file)})
        console.unlink(missing_ok=True)
    except (RunloreError, OSError) as problem:  # It stays, and the run's end matters more.
        warn_caller(f"the console of run {run.id} was not kept: {problem}", RuntimeWarning)


def _console_name(run: RunHandle) -> str:
    """The name of the console's file; with a number if the run was resumed."""
    stem, dot, suffix = CONSOLE_LOG.rpartition(".")
    return free_name(run, stem, dot + suffix)


def log_uris(run: RunHandle) -> dict[str, str]:
    """The addresses of the log files by name, for people and other programs."""
    return {name: _uri_of(run, source) for name, source in log_files(run).items()}


def read_log(run: RunHandle, name: str) -> bytes:
    """A log's content; empty if the script has removed it."""
    # When a run ends, its logs move into the store, where the second attempt finds them.
    for _ in range(2):
        source = log_files(run).get(name)
        log = None if source is None else open_log(run, source)
        if log is not None:
            with log:
                return log.read()
    return b""


def open_log(run: RunHandle, source: LogSource) -> IO[bytes] | None:
    """A log of `log_files`, for reading; None if it is gone by now."""
    try:
        return open_file(run, source.name) if isinstance(source, KeptLog) else source.open_file()
    except (FileNotFoundError, ArtifactMissing):
        return None


def _uri_of(run: RunHandle, source: LogSource) -> str:
    if isinstance(source, HeldPath):
        return source.plain.absolute().as_uri()
    return run.artifacts.uri(content_of(run, source.name))


def _kept_logs(run: RunHandle) -> dict[str, LogSource]:
    return {
        name: KeptLog(name)
        for name, artifact in run.state.artifacts.items()
        if name.startswith(LOG_FOLDERS) and artifact.sha256 is not None and is_stored(artifact)
    }


def _live_logs(run: RunHandle) -> dict[str, LogSource]:
    state, workspace = run.state, run.session.executing
    if workspace is None:
        return {}
    if state.definition is None:
        with suppress(UnsafePath, OSError, ValueError):
            console = console_path(workspace, run.id)
            if console.is_file():
                return {_console_name(run): console}
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
