"""Where the tests' cache keeps the tables of a workspace."""

from __future__ import annotations

from pathlib import Path

from runlore.storage.user_cache import find_cache, folders_of_logs


def cache() -> Path:
    """The cache of this process."""
    found = find_cache()
    assert found.problem is None
    assert found.folder is not None
    return found.folder


def cached(workspace: Path | None) -> Path:
    """The folder of what is kept of the log of the workspace in a folder."""
    [found] = [
        one.path
        for one in folders_of_logs(cache())
        if one.origin is not None and one.origin.folder == str(workspace)
    ]
    return found
