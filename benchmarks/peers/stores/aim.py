"""Aim over a local repository, without its server; its own background tracking is off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import aim
from aim.sdk.index_manager import RepoIndexManager
from aim.sdk.types import QueryReportMode

from benchmarks.peers.store import OpenRun, Store


class AimRun(OpenRun):
    def __init__(self, run: aim.Run) -> None:
        self.id = run.hash
        self._run = run

    def log(self, name: str, value: float, step: int) -> None:
        self._run.track(value, name=name, step=step)

    def log_dict(self, values: Mapping[str, float], step: int) -> None:
        self._run.track(dict(values), step=step)

    def end(self) -> None:
        self._run.close()


class AimStore(Store):
    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._repo = aim.Repo.from_path(self._folder, init=True)

    def start(self, tags: Mapping[str, str]) -> OpenRun:
        run = aim.Run(repo=self._folder, system_tracking_interval=None, capture_terminal_logs=False)
        for key, value in tags.items():
            run[key] = value
        return AimRun(run)

    def read(self, run_id: str, name: str) -> Sequence[float]:
        run = self._repo.get_run(run_id)
        for metric in run.metrics() if run is not None else ():
            if metric.name == name:
                values: Sequence[float] = metric.values.sparse_list()[1]
                return values
        return []

    def tagged(self, key: str, value: str) -> int:
        query = self._repo.query_runs(
            f"run.{key} == '{value}'", report_mode=QueryReportMode.DISABLED
        )
        return sum(1 for _ in query.iter_runs())

    def settle(self) -> None:
        index = RepoIndexManager.get_index_manager(self._repo)
        for run_id in self._repo.list_all_runs():
            index.index(run_id)
