"""This process among all processes of all machines, for those who read of it later."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

_MACHINE_ID_FILES: Final = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_START_FIELD: Final = 19  # Of /proc/self/stat, counted after the name, which may hold spaces.


class ProcessIdentity(NamedTuple):
    """A process, by names that people know and by numbers that are never given twice.

    `started_at` is in µs since 1970 UTC by the host's clock, to about 10 ms, or 0 where the system
    does not tell it. A process id alone says little: it is used again, and containers count their
    own.
    """

    host: str
    boot_id: str
    pid: int
    started_at: int
    uid: int
    program: str

    def __str__(self) -> str:
        return f"{self.program} on {self.host} (pid {self.pid})"


def this_process() -> ProcessIdentity:
    """This process. Its texts are valid UTF-8."""
    return ProcessIdentity(
        host=_utf8(socket.gethostname()),
        boot_id=boot_id(),
        pid=os.getpid(),
        started_at=started_at(),
        uid=os.getuid(),
        program=_utf8(program()),
    )


def program() -> str:
    """The name of the script that this process runs."""
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"


def boot_id() -> str:
    """The id of this boot of this machine; "" where the system does not provide one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def machine_id() -> str | None:
    """A name of this machine that outlives its boots; None where the system does not provide one.

    It is a digest, because the system's own id is meant to stay on the machine (machine-id(5)).
    """
    for path in _MACHINE_ID_FILES:
        try:
            own = Path(path).read_bytes().strip()
        except OSError:
            continue
        if own:
            return hashlib.sha256(b"runlore " + own).hexdigest()[:32]
    return None


def started_at() -> int:
    """When this process started (µs since 1970 UTC by the host's clock); 0 if unknown."""
    try:
        after_name = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        since_boot_s = int(after_name[_START_FIELD]) / os.sysconf("SC_CLK_TCK")
        now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, ValueError, IndexError, AttributeError):
        return 0
    return round((time.time() - now_s + since_boot_s) * 1e6)


def _utf8(text: str) -> str:
    """The text as valid UTF-8, which the system does not guarantee."""
    return text.encode("utf-8", "replace").decode()
