"""Aim over a local repository: what the script prints is kept as the run's log."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import aim
from aim.sdk.index_manager import RepoIndexManager

from benchmarks.studio.beside.moved_clock import late_by
from benchmarks.studio.beside.trainings import EXPERIMENT, Training


class _Logged:
    def __init__(self, run: aim.Run) -> None:
        self._run = run

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        self._run.track(dict(values), step=epoch)

    def say(self, line: str) -> None:
        print(line, flush=True)


@contextmanager
def run(folder: Path, training: Training) -> Iterator[_Logged]:
    aim.Repo.from_path(str(folder), init=True)
    with late_by(training.ago_h):
        started = aim.Run(
            repo=str(folder),
            experiment=EXPERIMENT,
            system_tracking_interval=None,
            capture_terminal_logs=True,
        )
        started.name = training.name
        started["hparams"] = dict(training.config)
        for key, value in training.tags.items():
            started[key] = value
        try:
            yield _Logged(started)
        except Exception:
            traceback.print_exc()  # As a script that ends by an error does.
            sys.stderr.flush()
            raise
        finally:
            started.close()


def change_tag(folder: Path, name: str) -> None:
    repo = aim.Repo.from_path(str(folder))
    index = RepoIndexManager.get_index_manager(repo)
    for run_hash in repo.list_all_runs():
        index.index(run_hash)  # Its server does so in the background.
    runs = {repo.get_run(run_hash).name: run_hash for run_hash in repo.list_all_runs()}
    changed = aim.Run(runs[name], repo=str(folder), system_tracking_interval=None)
    changed["quality"] = "checked"
    changed.close()
