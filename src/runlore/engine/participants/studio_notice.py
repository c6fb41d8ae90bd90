"""The notice that a Studio of this user serves a workspace: its address, in the user's cache.

It holds as long as the Studio's process lives, whose lock it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from runlore.storage.file_lock import is_locked, try_lock
from runlore.storage.held_path import HeldPath
from runlore.storage.log_opener import file_of_log
from runlore.storage.user_cache import find_cache, key_of_log

_FOLDER: Final = "studios"
_ADDRESS_MAX_CHARS: Final = 1_000


@contextmanager
def announced(workspace: HeldPath | None, workspace_id: str, address: str) -> Iterator[None]:
    """Within the block, `studio_address` of this user's processes is the address.

    Of several Studios of one workspace the first one counts.
    """
    path = _path(workspace, workspace_id)
    fd: int | None = None
    if path is not None:
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            fd = try_lock(path, mode=0o600)
    try:
        if fd is not None:
            os.ftruncate(fd, 0)
            os.pwrite(fd, address.encode(), 0)
        yield
    finally:
        if fd is not None:
            os.close(fd)


def studio_address(workspace: HeldPath | None, workspace_id: str) -> str | None:
    """The address at which a Studio of this user serves the workspace now; None if none does."""
    path = _path(workspace, workspace_id)
    with suppress(OSError, UnicodeDecodeError):
        if path is not None and is_locked(path):
            return path.read_text(encoding="utf-8")[:_ADDRESS_MAX_CHARS] or None
    return None


def _path(workspace: HeldPath | None, workspace_id: str) -> Path | None:
    """The notice of the workspace in the cache; None for a workspace without a folder."""
    if workspace is None:
        return None
    cache = find_cache().folder
    if cache is None:
        return None
    with suppress(OSError, ValueError):  # The workspace was closed.
        key = key_of_log(file_of_log(workspace), workspace_id)
        return cache / _FOLDER / key
    return None
