"""One sample of what this machine and a process of it do."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any, Final

import psutil

from runlore.engine.capture.gpus import Gpus, find_gpus

_MIB: Final = 2**20


class Sampler:
    """Samples of the machine, the process `pid`, and the disk of `folder`.

    Rates are those since the last sample: the first one is made here. Of the process's children
    nothing is told: to find them takes too long.
    """

    def __init__(self, pid: int, folder: str | None, gpus: Gpus | None = None) -> None:
        self.process: Any = psutil.Process(pid)
        self._folder = folder
        self._gpus = find_gpus() if gpus is None else gpus
        self._at = time.monotonic()
        self._last = self._counters()
        self.sample()

    def sample(self) -> dict[str, float]:
        """What is known now, by names; what the system does not tell is missing."""
        found = self._gauges()
        counters, now = self._counters(), time.monotonic()
        seconds = now - self._at
        if seconds > 0:
            for name, total in counters.items():
                if name in self._last:
                    found[f"{name}_mib_s"] = max(0.0, total - self._last[name]) / _MIB / seconds
            self._at, self._last = now, counters
        if self._gpus is not None:
            found |= self._gpus.sample()
        return found

    def _gauges(self) -> dict[str, float]:
        found = {
            "cpu_percent": psutil.cpu_percent(),
            "memory_percent": psutil.virtual_memory().percent,
        }
        with suppress(psutil.Error):  # It has ended.
            found["process_cpu_percent"] = self.process.cpu_percent()
            found["process_memory_mib"] = self.process.memory_info().rss / _MIB
        with suppress(OSError):
            if self._folder is not None:
                disk = os.statvfs(self._folder)
                found["disk_percent"] = 100 * (1 - disk.f_bavail / max(1, disk.f_blocks))
        return found

    def _counters(self) -> dict[str, float]:
        """Bytes since the machine started."""
        disk: Any = None
        network: Any = None
        with suppress(OSError, RuntimeError):
            disk = psutil.disk_io_counters()
        with suppress(OSError, RuntimeError):
            network = psutil.net_io_counters()
        found: dict[str, float] = {}
        if disk is not None:
            found |= {"disk_read": disk.read_bytes, "disk_write": disk.write_bytes}
        if network is not None:
            found |= {
                "network_received": network.bytes_recv,
                "network_sent": network.bytes_sent,
            }
        return found
