"""Workloads in fresh interpreters, timed to their exit: what a script pays, not what a loop shows.

A workload is a module that is run with `-m`. It prints one JSON object; under `started` it says
when its own work began, on the monotonic clock, which is the same in all processes of a machine.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

ROOT: Final = Path(__file__).parents[1]
LIMIT_S: Final = 900.0
"""After which a workload that has not ended is one that hangs."""


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


@dataclass(frozen=True)
class Interpreter:
    """Which Python runs a workload, where, and with which additional variables."""

    python: str = sys.executable
    folder: Path = ROOT
    variables: Mapping[str, str] = field(default_factory=dict)


HERE: Final = Interpreter()


def fresh(
    module: str,
    *arguments: object,
    prefix: Sequence[str] = (),
    interpreter: Interpreter = HERE,
    timeout_s: float = LIMIT_S,
) -> Answer:
    """Runs a module in a fresh interpreter, to its end; `prefix` is a command that runs it.

    Raises WorkloadFailed, also if it takes longer than `timeout_s`.
    """
    process = start(module, *arguments, prefix=prefix, interpreter=interpreter)
    return finish(process, timeout_s)


def start(
    module: str,
    *arguments: object,
    prefix: Sequence[str] = (),
    interpreter: Interpreter = HERE,
    errors: IO[str] | None = None,
) -> subprocess.Popen[str]:
    """The same, without waiting, in a session of its own; it reads our lines on its input.

    `errors` is a file for its standard error, for whom does not read until it has ended.
    """
    return subprocess.Popen(
        [*prefix, interpreter.python, "-m", module, *map(str, arguments)],
        cwd=interpreter.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **interpreter.variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if errors is None else errors,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], timeout_s: float = LIMIT_S) -> Answer:
    """What the workload said, once it has ended. Raises WorkloadFailed."""
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        kill(process)
        raise WorkloadFailed(f"it took longer than {timeout_s:.0f} s") from None
    exited = time.monotonic()
    said = [line for line in output.splitlines() if line.startswith("{")]
    if process.returncode != 0 or not said:
        last = (errors.strip() or output.strip() or "it said nothing").splitlines()[-1]
        raise WorkloadFailed(f"it ended with {process.returncode}: {last[:300]}")
    return Answer(json.loads(said[-1]), exited)


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL for a workload and its children; returns when it is gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def say(**facts: object) -> None:
    """Prints what a workload has to say; its last line."""
    print(json.dumps(facts), flush=True)


def peak_bytes() -> int:
    """The most memory that this process ever had in RAM.

    Not ru_maxrss on Linux: that begins with what the process had that started this one.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    [peak] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peak.split()[1]) * 1024


def folder_bytes(folder: Path) -> int:
    """The size of all files below a folder; one that has several names there counts once."""
    found = (Path(parent, name).stat() for parent, _, names in os.walk(folder) for name in names)
    return sum({(file.st_dev, file.st_ino): file.st_size for file in found}.values())


def median_of(answers: Sequence[Answer], key: str) -> float:
    """The median of one thing that the workloads said."""
    return float(statistics.median(answer[key] for answer in answers))
