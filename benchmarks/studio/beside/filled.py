"""The trainings in a tool's store: `... TOOL FOLDER past`, or `live`, in the tool's environment.

`past` logs all trainings that have ended. `live` starts the newest one, says so, and logs an epoch
a second until its process is stopped. The last line of the output is one JSON object.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Protocol

from benchmarks.fresh import say
from benchmarks.studio.beside.trainings import EPOCHS, Training, check_loss, live, past


class Logged(Protocol):
    """A run that a script logs into, in the way that the tool's documentation shows."""

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        """Logs the metrics of an epoch."""
        ...

    def say(self, line: str) -> None:
        """Adds a line to what the tool keeps as the run's log."""
        ...


class Script(Protocol):
    """The module of a tool in `scripts`."""

    def run(self, folder: Path, training: Training) -> AbstractContextManager[Logged]:
        """A run from its start to its end; an exception that leaves the block is its failure."""
        ...

    def change_tag(self, folder: Path, name: str) -> None:
        """Gives a run of the past the tag `quality`, now."""
        ...


def main(tool: str, folder: str, part: str) -> None:
    script: Script = importlib.import_module(f"benchmarks.studio.beside.scripts.{tool}")
    if part == "live":
        _go_on(script, Path(folder))
    else:
        say(made=_fill(script, Path(folder)))


def _fill(script: Script, folder: Path) -> int:
    trainings = list(past())
    for training in trainings:
        with suppress(FloatingPointError), script.run(folder, training) as logged:
            for epoch in range(1, EPOCHS + 1):
                _train(logged, training, epoch)
    script.change_tag(folder, trainings[0].name)
    return len(trainings)


def _go_on(script: Script, folder: Path) -> None:
    training = live()
    with script.run(folder, training) as logged:
        for epoch in range(1, 4):
            _train(logged, training, epoch)
        say(logged=3)
        for epoch in range(4, 3_600):
            time.sleep(1)
            _train(logged, training, epoch)


def _train(logged: Logged, training: Training, epoch: int) -> None:
    logged.say(f"epoch {epoch} of {EPOCHS}")
    values = training.values(epoch)
    logged.log(values, epoch)
    logged.say("  " + ", ".join(f"{name} {value:.4f}" for name, value in values.items()))
    check_loss(training, epoch)


if __name__ == "__main__":
    main(*sys.argv[1:])
