"""runlore, through its SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.peers.store import OpenRun, Store
from runlore import Experiment, Run, Workspace
from runlore.exceptions import UserErrorException


class RunloreRun(OpenRun):
    def __init__(self, run: Run) -> None:
        self.id = run.id
        self._run = run

    def log(self, name: str, value: float, step: int) -> None:
        self._run.log(name, value, step=step)

    def log_dict(self, values: Mapping[str, float], step: int) -> None:
        self._run.log_metrics(values, step=step)

    def log_series(self, name: str, values: Sequence[float]) -> None:
        for start in range(0, len(values), 10_000):
            self._run.log_batch(name, np.array(values[start : start + 10_000]))

    def end(self) -> None:
        self._run.complete()


class RunloreStore(Store):
    def __init__(self, folder: Path) -> None:
        self._workspace = Workspace.create("bench", path=folder / "ws", exist_ok=True)
        self._experiment = Experiment(self._workspace, "bench")

    @property
    def experiment(self) -> Experiment:
        """The one experiment."""
        return self._experiment

    def start(self, tags: Mapping[str, str]) -> OpenRun:
        started = self._experiment.start_logging(outputs=False, snapshot_directory=None, tags=tags)
        return RunloreRun(started)

    def read(self, run_id: str, name: str) -> Sequence[float]:
        try:
            values: Sequence[float] = self._workspace.get_run(run_id).values(name).values.tolist()
        except (LookupError, UserErrorException):  # No such run, no such metric.
            return []
        return values

    def make_children(self, count: int) -> None:
        parent = self._experiment.start_logging(outputs=False, snapshot_directory=None)
        assert len(parent.create_children(count)) == count

    def tagged(self, key: str, value: str) -> int:
        return len(list(self._experiment.get_runs(tags={key: value})))

    def close(self) -> None:
        self._workspace.close()
