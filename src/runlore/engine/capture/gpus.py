"""Load, memory, power and temperature of NVIDIA's GPUs, through NVML.

NVML comes with the driver; its Python side is the package `nvidia-ml-py` (`runlore[gpu]`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

_GPUS_MAX: Final = 64
_MIB: Final = 2**20


class Gpus:
    """The GPUs of this machine. `nvml` is the module `pynvml`. Raises its errors."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        nvml.nvmlInit()
        count = min(nvml.nvmlDeviceGetCount(), _GPUS_MAX)
        self._devices = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]

    def sample(self) -> dict[str, float]:
        """What each GPU tells now, by names such as `gpu0_percent`; some tell less."""
        found: dict[str, float] = {}
        for number, device in enumerate(self._devices):
            for name, read in self._readings(device).items():
                with suppress(self._nvml.NVMLError):  # This GPU does not tell it.
                    found[f"gpu{number}_{name}"] = float(read())
        return found

    def _readings(self, device: Any) -> dict[str, Callable[[], Any]]:
        nvml = self._nvml
        return {
            "percent": lambda: nvml.nvmlDeviceGetUtilizationRates(device).gpu,
            "memory_mib": lambda: nvml.nvmlDeviceGetMemoryInfo(device).used / _MIB,
            "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(device) / 1_000,
            "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(
                device, nvml.NVML_TEMPERATURE_GPU
            ),
        }


def find_gpus() -> Gpus | None:
    """The GPUs, if the machine has some, with the driver, and the package is installed."""
    try:
        # Any error at all: it is a library of C, and of another vendor.
        return Gpus(importlib.import_module("pynvml"))
    except Exception:
        return None
