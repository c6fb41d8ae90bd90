"""What an input makes the process do outside of its own temporary folders.

Audit events tell it: files that are written, made, moved or removed, programs that are started, and
connections that are made. Names that are relative to a held folder have a single part, which cannot
lead out of it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES: Final = {
    "os.chmod": 1,
    "os.chown": 1,
    "os.link": 2,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.symlink": 2,
    "os.truncate": 1,
    "os.utime": 1,
}
"""How many of the first arguments are paths."""

_LEAVES: Final = {
    "ctypes.dlopen",
    "os.exec",
    "os.fork",
    "os.kill",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "socket.connect",
    "subprocess.Popen",
}

_own = ""
_touched: list[str] = []
_watching = False
_hooked = False


@contextmanager
def touching_nothing_else() -> Iterator[list[str]]:
    """What the block touches outside of the temporary folder, as audit events."""
    global _hooked, _own, _watching
    if not _hooked:
        sys.addaudithook(_note)
        _hooked = True
    _touched.clear()
    _own = os.path.realpath(tempfile.gettempdir()) + os.sep
    _watching = True
    try:
        yield _touched
    finally:
        _watching = False


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if not _watching:
        return
    if event == "open":
        path, mode, flags = arguments
        if isinstance(flags, int) and flags & _WRITES and not _is_own(path):
            _touched.append(f"{event} {path!r} {mode!r}")
    elif event in _CHANGES:
        _touched.extend(
            f"{event} {path!r}" for path in arguments[: _CHANGES[event]] if not _is_own(path)
        )
    elif event in _LEAVES:
        _touched.append(f"{event} {arguments!r:.200}")


def _is_own(path: object) -> bool:
    if isinstance(path, int):  # It was opened before.
        return True
    name = os.fsdecode(path) if isinstance(path, bytes | str | os.PathLike) else ""
    if os.path.isabs(name):
        return os.path.realpath(name).startswith((_own, "/dev/null"))
    return os.path.dirname(name) == "" and name not in ("", os.pardir)
