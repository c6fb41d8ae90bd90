"""Workloads in fresh interpreters, timed to their exit: what a script pays, not what a loop shows.

A workload is a module that is run with `-m`. It prints one JSON object; under `started` it says
when its own work began, on the monotonic clock, which is the same in all processes of a machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True)
class Answer:
    """What a workload said, and when its process was gone."""

    said: Mapping[str, Any]
    exited: float

    @property
    def whole_s(self) -> float:
        """From the beginning of its work until its process was gone, in seconds."""
        return float(self.exited - self.said["started"])

    def __getitem__(self, key: str) -> Any:
        return self.said[key]


class WorkloadFailed(Exception):
    """A workload's process ended with an error."""


def fresh(module: str, *arguments: object, prefix: Sequence[str] = ()) -> Answer:
    """Runs a module in a fresh interpreter, to its end; `prefix` is a command that runs it."""
    return finish(start(module, *arguments, prefix=prefix))


def start(module: str, *arguments: object, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    """The same, without waiting; it reads our lines on its standard input."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Answer:
    """What the workload said, once it has ended. Raises WorkloadFailed."""
    output, errors = process.communicate()
    exited = time.monotonic()
    if process.returncode != 0:
        raise WorkloadFailed(f"{process.args!r} ended with {process.returncode}: {errors[-2000:]}")
    return Answer(json.loads(output.splitlines()[-1]), exited)


def say(**facts: object) -> None:
    """Prints what a workload has to say; its last line."""
    print(json.dumps(facts), flush=True)


def peak_bytes() -> int:
    """The most memory that this process ever had in RAM.

    Not ru_maxrss on Linux: that begins with what the process had that started this one.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    [peak] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peak.split()[1]) * 1024


def folder_bytes(folder: Path) -> int:
    """The size of all files below a folder."""
    return sum(
        entry.stat().st_size
        for parent, _, names in os.walk(folder)
        for entry in (Path(parent, name) for name in names)
    )


def median_of(answers: Sequence[Answer], key: str) -> float:
    """The median of one thing that the workloads said."""
    return float(statistics.median(answer[key] for answer in answers))
