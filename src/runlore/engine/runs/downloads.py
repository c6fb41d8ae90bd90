"""Copies of a run's files and logs in folders of the caller's choice."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path

from runlore.domain.errors import InvalidInput, UserError
from runlore.domain.file_names import clashes
from runlore.engine.caller_warning import warn_caller
from runlore.engine.runs.files import content_of, is_stored
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.logs import log_files, open_log, read_log
from runlore.storage.atomic_files import explained, replacing
from runlore.storage.held_path import AnyPath, HeldPath, hold
from runlore.storage.safe_paths import held_destination


def download_file(run: RunHandle, name: str, target: Path) -> None:
    """Write a kept file to a path; in an existing folder, it gets its base name."""
    sha256 = content_of(run, name)
    if target.is_dir():
        run.artifacts.copy_to(sha256, held_destination(hold(target), name.rpartition("/")[2]))
    else:
        run.artifacts.copy_to(sha256, target)


def download_files(
    run: RunHandle,
    folder: Path,
    prefix: str,
    *,
    output_paths: Sequence[str] | None,
    append_prefix: bool,
) -> None:
    """Write all kept files whose names start with the prefix; see `Run.download_files`."""
    found = {name: a for name, a in run.fetch().artifacts.items() if name.startswith(prefix)}
    names = [name for name, artifact in found.items() if is_stored(artifact)]
    if len(names) < len(found):
        left_out = next(name for name in found if name not in names)
        warn_caller(
            f"{len(found) - len(names)} files of run {run.id} are references or were pruned, "
            f"and are not downloaded, such as {left_out!r}"
        )
    targets: list[AnyPath]
    if output_paths is None:
        names = _without_folders(run, names)
        cut = "" if append_prefix else prefix
        below = [name.removeprefix(cut).lstrip("/") or name for name in names]
        top = _made(folder) if below else None
        targets = [held_destination(top, name) for name in below if top is not None]
    else:
        targets = [folder / path for path in output_paths]
    if len(targets) != len(names):
        raise InvalidInput(
            f"download_files: {len(names)} files match {prefix!r} but {len(targets)} "
            "output_paths were given; give one per file"
        )
    for name, target in zip(names, targets, strict=True):
        run.artifacts.copy_to(content_of(run, name), target)


def _without_folders(run: RunHandle, names: list[str]) -> list[str]:
    """The names that can be files in one folder; warn about the others, of older logs."""
    found = clashes(set(names), ())
    folders = {name for name, other in found.items() if other.startswith(name + "/")}
    if folders:
        warn_caller(
            f"{len(folders)} files of run {run.id} would be files and folders, and are not "
            f"downloaded, such as {min(folders)!r}: get them by download_file(name, path)"
        )
    return [name for name in names if name not in folders]


def download_logs(run: RunHandle, folder: Path) -> list[str]:
    """Write the log files below a folder and return their paths; see `Run.get_all_logs`."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"get_all_logs: {folder} is a file; give a folder")
    paths = []
    logs, artifacts = log_files(run), run.state.artifacts
    top = _made(folder)
    for name, source in logs.items():
        target = held_destination(top, name)
        if name in artifacts:
            run.artifacts.copy_to(content_of(run, name), target)
        else:
            opened = open_log(run, source) or io.BytesIO(read_log(run, name))
            with opened as log, replacing(target) as copy:
                shutil.copyfileobj(log, copy)
        paths.append(str(target))
    return paths


def _made(folder: Path) -> HeldPath:
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return hold(folder)
