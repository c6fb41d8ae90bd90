"""This process among all processes of all machines, and what the kernel tells of others."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from contextlib import suppress
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
        host=_utf8(os.uname().nodename),
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
        since_boot_s = kernel_state(os.getpid()).start / os.sysconf("SC_CLK_TCK")
        now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, ValueError, AttributeError):
        return 0
    return round((time.time() - now_s + since_boot_s) * 1e6) if since_boot_s else 0


class KernelState(NamedTuple):
    """A process of this host as the kernel describes it, see proc_pid_stat(5).

    `letter` is its state, such as "T" if it is stopped; `start` when it started, in clock ticks
    since the boot: another process that gets its id has another one. "" and 0 if it is not seen.
    """

    letter: str = ""
    start: int = 0


def kernel_state(pid: int) -> KernelState:
    """What the kernel says of a process."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return KernelState(after_name[0].decode(), int(after_name[_START_FIELD]))
    except (OSError, ValueError, IndexError):
        return KernelState()


def has_open(pid: int, file: os.stat_result) -> bool | None:
    """Whether a process has a file open; None if it cannot be known, as of another user's."""
    folder = f"/proc/{pid}/fd"
    try:
        descriptors = os.listdir(folder)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    for descriptor in descriptors:
        with suppress(OSError):  # It was closed in the meantime.
            if os.path.samestat(os.stat(f"{folder}/{descriptor}"), file):
                return True
    return False


def _utf8(text: str) -> str:
    """The text as valid UTF-8, which the system does not guarantee."""
    return text.encode("utf-8", "replace").decode()
