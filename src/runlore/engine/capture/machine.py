"""The machine that this process runs on: platform, CPU, memory, GPUs."""

from __future__ import annotations

import os
import platform
import socket
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

_CPUINFO: Final = Path("/proc/cpuinfo")
_GPUS: Final = Path("/proc/driver/nvidia/gpus")
_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_GPUS_MAX: Final = 64


@cache
def machine() -> dict[str, Any]:
    """The document of the machine, as far as it is known; it does not change while this runs.

    `cpu_count` counts the logical CPUs that this process may use. `memory_nbytes` is that of the
    machine or, where it is less, of this process's container.
    """
    return {
        "host": _utf8(socket.gethostname()),
        "platform": platform.platform(),
        "cpu": _cpu(_CPUINFO),
        "cpu_count": _cpu_count(),
        "memory_nbytes": _memory(),
        "gpus": gpu_names(_GPUS),
    }


def gpu_names(folder: Path) -> list[str]:
    """The GPUs that NVIDIA's driver lists in a folder, without its library: that takes long."""
    names = []
    with suppress(OSError):
        for gpu in sorted(os.listdir(folder))[:_GPUS_MAX]:
            name = _field(folder / gpu / "information", "Model")
            if name is not None:
                names.append(name)
    return names


def _cpu(cpuinfo: Path) -> str | None:
    if sys.platform == "linux":
        return _field(cpuinfo, "model name")
    return platform.processor() or None


def _cpu_count() -> int | None:
    with suppress(AttributeError, OSError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _memory() -> int | None:
    amounts = []
    with suppress(ValueError, OSError):
        amounts.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in _LIMITS:
        with suppress(ValueError, OSError):  # Without a limit it says "max".
            amounts.append(int(limit.read_text(encoding="ascii")))
    return min(amounts, default=None)


def _field(file: Path, name: str) -> str | None:
    """The first field of a name in a file of lines `name: value`."""
    with suppress(OSError), file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            field, colon, value = line.partition(":")
            if colon and field.strip() == name:
                return value.strip()[:200]
    return None


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
