"""Keeping what a script has written in its folder, when its run ends."""

from __future__ import annotations

from collections.abc import Iterable

from runlore.engine.runs.files import keep_folders
from runlore.engine.runs.handle import RunHandle
from runlore.storage.run_folder import RunFolder
from runlore.storage.safe_paths import UnsafePath


def keep_files_of(run: RunHandle, folder: RunFolder, names: Iterable[str]) -> list[str]:
    """Keep the files below the named folders of a run's folder; return the problems.

    The names may be from a log, and the folder may be a stranger's: neither leads to a file
    elsewhere. Raises RunloreError and OSError if nothing can be kept now.
    """
    problems, folders = [], {}
    for name in names:
        try:
            folders[name] = folder.log_path(name)
        except UnsafePath as error:
            problems.append(str(error))
    return [*problems, *keep_folders(run, folders, owner=folder.owner_uid())]
