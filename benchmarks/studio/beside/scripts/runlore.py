"""runlore, through its SDK: what the script prints is kept as the run's log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import runlore
from benchmarks.studio.beside.moved_clock import late_by
from benchmarks.studio.beside.trainings import EXPERIMENT, Training
from runlore import Workspace


class _Logged:
    def __init__(self, run: runlore.Run) -> None:
        self._run = run

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        self._run.log(dict(values), step=epoch)

    def say(self, line: str) -> None:
        print(line, flush=True)


@contextmanager
def run(folder: Path, training: Training) -> Iterator[_Logged]:
    with (
        late_by(training.ago_h),
        runlore.init(
            EXPERIMENT,
            workspace=folder / "lab",
            config=training.config,
            tags=training.tags,
            display_name=training.name,
            quiet=True,
        ) as started,
    ):
        yield _Logged(started)


def change_tag(folder: Path, name: str) -> None:
    with Workspace.open(folder / "lab") as workspace:
        runs = workspace.experiments[EXPERIMENT].get_runs()
        [found] = [run for run in runs if run.display_name == name]
        found.tag("quality", "checked")
