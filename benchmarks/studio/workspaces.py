"""Workspaces of the sizes that the Studio must be fast at."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

import numpy as np

from runlore import Experiment, Workspace
from runlore.domain.events import ExperimentCreated, RunCompleted, RunCreated
from runlore.domain.ids import experiment_stream, run_stream
from runlore.domain.status import Status
from runlore.storage.journal import Pending
from runlore.workspace import session_of

EXPERIMENT: Final = "vision"
TAGS: Final = 20
PROPERTIES: Final = 20
METRICS: Final = 20
_AT_ONCE: Final = 10_000


def many_runs(folder: Path, count: int) -> Workspace:
    """Runs of one experiment with 20 tags, 20 properties and 20 metrics each, ended."""
    workspace = Workspace.create("many", path=folder)
    journal = session_of(workspace).journal
    created = ExperimentCreated(experiment_id=EXPERIMENT, name=EXPERIMENT)
    journal.append([Pending(experiment_stream(EXPERIMENT), 1, created)])
    chance = random.Random(0)
    for first in range(0, count, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, count))
        journal.append([Pending(run_stream(_id(n)), 1, _created(n, chance)) for n in numbers])
        for number in numbers:
            values = {f"metric_{place}": chance.random() for place in range(METRICS)}
            run = workspace.get_run(_id(number))
            run.log_metrics(values)
        run.flush()
        journal.append([Pending(run_stream(_id(n)), 2, RunCompleted()) for n in numbers])
    return workspace


def _id(number: int) -> str:
    return f"run-{number:06}"


def _created(number: int, chance: random.Random) -> RunCreated:
    model = "resnet" if number % 3 == 0 else "vit"
    tags = {f"tag_{place}": str(chance.randrange(50)) for place in range(TAGS - 1)}
    return RunCreated(
        run_id=_id(number),
        experiment_id=EXPERIMENT,
        experiment_name=EXPERIMENT,
        status=Status.RUNNING,
        root_id=_id(number),
        tags={"model": model, **tags},
        properties={f"property_{place}": str(chance.random()) for place in range(PROPERTIES)},
    )


def curves(folder: Path, *, runs: int, metrics: int, points: int) -> Workspace:
    """Runs with long noisy series."""
    workspace = Workspace.create("curves", path=folder)
    experiment = Experiment(workspace, EXPERIMENT)
    steps = np.arange(points)
    noise = np.random.default_rng(0).standard_normal(points) / 20
    for number in range(runs):
        with experiment.start_logging(outputs=False, snapshot_directory=None) as run:
            for place in range(metrics):
                name = f"part_{place // 12}/metric_{place}" if metrics > 1 else "loss"
                run.log_batch(name, np.exp(-steps / points) * (1 + number + place) + noise)
    return workspace
