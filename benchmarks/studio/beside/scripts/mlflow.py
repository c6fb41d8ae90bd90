"""MLflow over its SQLite backend; what the script says is kept as an artifact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from traceback import format_exc

import mlflow

from benchmarks.studio.beside.moved_clock import late_by
from benchmarks.studio.beside.trainings import EXPERIMENT, Training

_LINES_AT_ONCE = 10


class _Logged:
    def __init__(self) -> None:
        self._lines: list[str] = []

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        mlflow.log_metrics(dict(values), step=epoch)

    def say(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) % _LINES_AT_ONCE == 0:
            self.keep()

    def keep(self) -> None:
        mlflow.log_text("\n".join(self._lines), "logs/train.log")


@contextmanager
def run(folder: Path, training: Training) -> Iterator[_Logged]:
    _open(folder)
    with late_by(training.ago_h), mlflow.start_run(run_name=training.name, tags=training.tags):
        mlflow.log_params(dict(training.config))
        logged = _Logged()
        try:
            yield logged
        except Exception:
            logged.say(format_exc())
            raise
        finally:
            logged.keep()


def change_tag(folder: Path, name: str) -> None:
    _open(folder)
    [found] = mlflow.search_runs(
        experiment_names=[EXPERIMENT],
        filter_string=f"attributes.run_name = '{name}'",
        output_format="list",
    )
    mlflow.MlflowClient().set_tag(found.info.run_id, "quality", "checked")


def _open(folder: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    if mlflow.get_experiment_by_name(EXPERIMENT) is None:
        mlflow.create_experiment(EXPERIMENT, artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment(EXPERIMENT)
