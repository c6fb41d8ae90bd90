"""The folder of what this user's programs remember from one start to the next, outside workspaces.

It is `runlore` in XDG_STATE_HOME, or in `~/.local/state`. The cache may be emptied at any time;
what is here may not be lost with it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from runlore.domain.errors import UserError

_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


class StateUnusable(UserError):
    """There is no folder in which this user's state is safe."""


def state_folder(name: str) -> Path:
    """The folder of this name in the user's state, made private if it is missing.

    Raises StateUnusable.
    """
    folder = _home() / "runlore" / name
    try:
        folder.parent.parent.mkdir(parents=True, exist_ok=True)
        for made in (folder.parent, folder):
            made.mkdir(mode=0o700, exist_ok=True)
            _check(made)
    except OSError as error:
        raise StateUnusable(
            f"{folder} cannot be made: {error.strerror}; set XDG_STATE_HOME to another folder"
        ) from error
    return folder


def _home() -> Path:
    given = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(given):  # A relative one is to be ignored, says the specification.
        return Path(given)
    home = os.path.expanduser("~")  # "~" itself if neither HOME nor the system knows it.
    if not os.path.isabs(home) or os.environ.get("HOME") == "":
        raise StateUnusable("there is no home folder to remember things in; set XDG_STATE_HOME")
    return Path(home, ".local", "state")


def _check(folder: Path) -> None:
    found = os.lstat(folder)
    problem = None
    if not stat.S_ISDIR(found.st_mode):
        problem = "is not a folder"
    elif found.st_uid != os.geteuid():
        problem = f"belongs to user {found.st_uid}"
    elif found.st_mode & _OTHERS_MAY_WRITE:
        problem = "can be written by others"
    if problem is not None:
        raise StateUnusable(f"{folder} {problem}; set XDG_STATE_HOME to a folder of your own")
