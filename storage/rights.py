"""Who may do what to a path, in words for messages."""

from __future__ import annotations

import os
import pwd
import stat

from runlore.storage.held_path import HeldPath


def rights(path: HeldPath) -> str:
    """Who asks, and whose a path is: the nearest one that is there, with its mode.

    For example "user ada (1001): /srv/lab belongs to user grace (1002) and has the mode 0755".
    """
    asking = user_named(os.geteuid())
    while True:
        try:
            found = path.stat()
            break
        except OSError:
            if not path.parts:
                return asking
            path = path.parent
    mode = stat.S_IMODE(found.st_mode)
    return f"{asking}: {path} belongs to {user_named(found.st_uid)} and has the mode {mode:04o}"


def user_named(uid: int) -> str:
    """A user's name and number."""
    try:
        return f"user {pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return f"user {uid}"
