"""trackio over its local SQLite files, without its dashboard and a Space."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.peers.store import OpenRun, Store

PROJECT = "bench"


class TrackioStore(Store):
    def __init__(self, folder: Path) -> None:
        os.environ["TRACKIO_DIR"] = str(folder / "trackio")
        import trackio  # It reads the variable when it is imported.

        self._trackio = trackio

    def start(self, tags: Mapping[str, str]) -> OpenRun:
        trackio = self._trackio
        run = trackio.init(
            project=PROJECT, config=dict(tags), embed=False, auto_log_gpu=False, auto_log_cpu=False
        )
        return TrackioRun(run)

    def read(self, run_id: str, name: str) -> Sequence[float]:
        from trackio.sqlite_storage import SQLiteStorage

        logs = SQLiteStorage.get_logs(PROJECT, run_id=run_id)
        return [row[name] for row in logs if name in row]

    def tagged(self, key: str, value: str) -> int:
        runs = self._trackio.Api().runs(PROJECT)
        return sum(1 for run in runs if (run.config or {}).get(key) == value)


class TrackioRun(OpenRun):
    def __init__(self, run: object) -> None:
        import trackio

        self.id = run.id  # type: ignore[attr-defined]  # trackio's Run, which has no types
        self._trackio = trackio

    def log(self, name: str, value: float, step: int) -> None:
        self._trackio.log({name: value}, step=step)

    def log_dict(self, values: Mapping[str, float], step: int) -> None:
        self._trackio.log(dict(values), step=step)

    def end(self) -> None:
        self._trackio.finish()
