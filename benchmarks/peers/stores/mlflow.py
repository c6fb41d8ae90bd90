"""MLflow without a server, over its SQLite backend and over its file store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import mlflow
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from benchmarks.peers.store import OpenRun, Store

BATCH = 1_000  # The most that MLflow takes in one call.


class MlflowRun(OpenRun):
    def __init__(self, run_id: str) -> None:
        self.id = run_id

    def log(self, name: str, value: float, step: int) -> None:
        mlflow.log_metric(name, value, step=step)

    def log_dict(self, values: Mapping[str, float], step: int) -> None:
        mlflow.log_metrics(dict(values), step=step)

    def log_series(self, name: str, values: Sequence[float]) -> None:
        client = mlflow.MlflowClient()
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for step, value in enumerate(values)]
        for start in range(0, len(metrics), BATCH):
            client.log_batch(self.id, metrics=metrics[start : start + BATCH])

    def end(self) -> None:
        mlflow.end_run()


class MlflowStore(Store):
    def __init__(self, folder: Path) -> None:
        mlflow.set_tracking_uri(self.uri(folder))
        self._experiment_id = mlflow.set_experiment("bench").experiment_id

    def uri(self, folder: Path) -> str:
        return f"sqlite:///{folder / 'mlflow.db'}"

    def start(self, tags: Mapping[str, str]) -> OpenRun:
        return MlflowRun(mlflow.start_run(tags=dict(tags)).info.run_id)

    def read(self, run_id: str, name: str) -> Sequence[float]:
        try:
            history = mlflow.MlflowClient().get_metric_history(run_id, name)
        except MlflowException:
            return []
        return [metric.value for metric in history]

    def make_children(self, count: int) -> None:
        with mlflow.start_run():
            for _ in range(count):
                mlflow.start_run(nested=True)
                mlflow.end_run()

    def tagged(self, key: str, value: str) -> int:
        found = mlflow.search_runs(
            experiment_ids=[self._experiment_id],
            filter_string=f"tags.{key} = '{value}'",
            output_format="list",
        )
        return len(found)


class MlflowFileStore(MlflowStore):
    def uri(self, folder: Path) -> str:
        return (folder / "mlruns").as_uri()
