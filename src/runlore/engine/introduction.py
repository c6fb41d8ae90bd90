"""The event by which a process introduces itself in the log, before all its other events."""

from __future__ import annotations

import getpass
import os
import socket

from runlore.domain.events import WriterOpened
from runlore.storage.this_process import boot_id, program
from runlore.version import VERSION


def introduction(actor: str | None) -> WriterOpened:
    """The event that introduces this process; `actor` is the user or service it writes for."""
    return WriterOpened(
        actor=_utf8(actor or os.environ.get("RUNLORE_ACTOR") or _user()),
        host=_utf8(socket.gethostname()),
        boot_id=boot_id(),
        pid=os.getpid(),
        process=_utf8(program()),
        client_version=VERSION,
    )


def _utf8(text: str) -> str:
    """The text as valid UTF-8: the log requires it, and the system does not guarantee it."""
    return text.encode("utf-8", "replace").decode()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A container's user id often has no name.
        return f"uid {os.getuid()}"
