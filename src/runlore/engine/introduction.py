"""Who writes: what a process says of itself in the log before its first event."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from pathlib import Path

from runlore.domain.events import WriterOpened
from runlore.storage.run_folder import boot_id
from runlore.version import VERSION


def introduction(actor: str | None) -> WriterOpened:
    """The event by which this process introduces itself; `actor` is who it writes for."""
    return WriterOpened(
        actor=_utf8(actor or os.environ.get("RUNLORE_ACTOR") or _user()),
        host=_utf8(socket.gethostname()),
        boot_id=boot_id(),
        pid=os.getpid(),
        process=_utf8(Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"),
        client_version=VERSION,
    )


def _utf8(text: str) -> str:
    """Valid UTF-8, which the log requires and the system's texts may not be."""
    return text.encode("utf-8", "replace").decode()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A container's user id often has no name.
        return f"uid {os.getuid()}"
