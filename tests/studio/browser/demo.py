"""The workspace of the documentation's pictures: trainings of two days, a pool, a saved view.

The same each time, but for the moment at which it ends: that is now.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from runlore import ComputeTarget, Experiment, Run, ScriptRunConfig, Workspace
from runlore.domain.status import TERMINAL
from runlore.domain.view import SaveView
from runlore.engine.streams import change_view
from runlore.workspace import session_of
from tests.processes import wait_until

MODELS: Final = ("resnet18", "vit-small", "convnext")
RATES: Final = (0.1, 0.03, 0.01, 0.003)
_HOUR_NS: Final = 3_600_000_000_000
_STEPS: Final = 400
_OPTIONS: Final[dict[str, Any]] = {"outputs": False, "snapshot_directory": None}
_SCRIPT: Final = "import time\nprint('epoch 1 of 90', flush=True)\ntime.sleep(600)\n"


class Hours:
    """The clock that events get their times from: hours before now."""

    def __init__(self) -> None:
        self.ago = 45.0
        self._now = time.time_ns

    def __call__(self) -> int:
        return self._now() - int(self.ago * _HOUR_NS)


@contextmanager
def demo(folder: Path) -> Iterator[Workspace]:
    """A workspace in a new folder; runs that still execute are cancelled in the end."""
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "train.py").write_text(_SCRIPT)
    hours = Hours()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "time_ns", hours)
        with Workspace.create("lab", path=folder / "lab", actor="ada", show_output=False) as ws:
            yield from _filled(ws, source, hours)


def _filled(ws: Workspace, source: Path, hours: Hours) -> Iterator[Workspace]:
    _train(Experiment(ws, "vision"), hours)
    hours.ago = 1.5
    _tune(Experiment(ws, "finetune"), hours)
    hours.ago = 0
    _save_view(ws)
    runs = _submit(ws, source)
    try:
        yield ws
    finally:
        for run in runs:
            if run.get_status() not in TERMINAL:
                run.cancel()


def _train(vision: Experiment, hours: Hours) -> None:
    """A training of each model with each rate; two fail."""
    chance = random.Random(7)
    for number in range(len(MODELS) * len(RATES)):
        model, rate = MODELS[number % len(MODELS)], RATES[number // len(MODELS)]
        hours.ago = 44 - 3.2 * number
        run = vision.start_logging(run_id=f"demo-{number:02}", **_OPTIONS)
        run.display_name = f"{model} {rate:g}"
        run.add_config({"model": model, "lr": rate, "epochs": 90, "optimizer": "adamw"})
        run.tag("model", model)
        run.tag("data", "imagenet-100")
        _log_curves(run, chance, model, rate)
        hours.ago -= 1.2 + 0.4 * (number % 5)
        if number in (1, 4):
            run.fail(f"loss is NaN at step {_STEPS}", error_code="Diverged")
        else:
            run.complete()


def _log_curves(run: Run, chance: random.Random, model: str, rate: float) -> None:
    distance = abs(math.log10(rate) + 1.6)
    best = 0.93 - 0.05 * distance - 0.01 * len(model)
    for step in range(_STEPS):
        done = 1 - math.exp(-step / (40 + 25 * distance))
        run.log("train/loss", 4.6 * (1 - done) + 0.2 + abs(chance.gauss(0, 0.05)), step=step)
        run.log("loss", 4.6 * (1 - done) + 0.4 + abs(chance.gauss(0, 0.03)), step=step)
        if step % 10 == 0:
            run.log("val/acc", best * done + chance.gauss(0, 0.006), step=step)
            run.log("val/top5", min(0.99, best * done * 1.08), step=step)
    if run.id in ("demo-01", "demo-04"):
        run.log("loss", math.nan, step=_STEPS)


def _tune(finetune: Experiment, hours: Hours) -> None:
    """Two runs of another experiment, the second one still at it."""
    for number in range(2):
        run = finetune.start_logging(run_id=f"tune-{number}", **_OPTIONS)
        run.display_name = f"warm start {number + 1}"
        run.log_batch("loss", [1 / (step + 1) for step in range(50)])
        hours.ago -= 0.6
        if number == 0:
            run.complete()


def _save_view(ws: Workspace) -> None:
    """A filter and an order under a name."""
    url = "/e/vision?f=tags.model+%3D+resnet18&sort=metrics.loss.min"
    change_view(session_of(ws).writable(), SaveView("best resnets", {"url": url}))


def _submit(ws: Workspace, source: Path) -> Sequence[Run]:
    """Runs on a pool of two slots: two that execute, and two that wait."""
    pool = ComputeTarget.attach(ws, "gpus", slots=2)
    config = ScriptRunConfig(source, script="train.py", compute_target=pool)
    runs = [Experiment(ws, "vision").submit(config) for _ in range(4)]
    for number, run in enumerate(runs):
        run.display_name = f"long training {number + 1}"
    wait_until(
        lambda: [run.get_status() for run in runs[:2]] == ["Running"] * 2, "two runs to execute"
    )
    return runs
