"""The trainings that every tool gets: the same names, values, times and errors for all.

Imports nothing but the standard library: it is also loaded in the peers' own environments.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

EXPERIMENT: Final = "vision"
MODELS: Final = ("resnet", "vit")
RATES: Final = (0.1, 0.03, 0.01, 0.003, 0.001)
SEEDS: Final = (0, 1, 2, 3)
EPOCHS: Final = 30
FAILED: Final = "vit-0.1-s3"
LIVE: Final = "resnet-0.02-s0"
LAST_LINE: Final = f"epoch {EPOCHS} of {EPOCHS}"
ERROR: Final = "loss is nan in epoch 13: the learning rate 0.1 is too high"
_OLDEST_H: Final = 60.0
_APART_H: Final = 1.4


@dataclass(frozen=True)
class Training:
    """One training: what it was given, and how long ago it began."""

    name: str
    model: str
    rate: float
    seed: int
    ago_h: float

    @property
    def config(self) -> Mapping[str, str | float | int]:
        """What its script was given; `optimizer` and `epochs` are the same for all."""
        return {"lr": self.rate, "seed": self.seed, "optimizer": "adamw", "epochs": EPOCHS}

    @property
    def tags(self) -> Mapping[str, str]:
        return {"model": self.model}

    def values(self, epoch: int) -> Mapping[str, float]:
        """The metrics of an epoch, counted from 1; the same in every process."""
        chance = random.Random(f"{self.name} {epoch}")
        distance = abs(math.log10(self.rate) + 2)
        best = (0.30 if self.model == "resnet" else 0.36) + 0.11 * distance + 0.008 * self.seed
        left = math.exp(-epoch / (5 + 3 * distance))
        return {
            "loss": 0.8 * best + 2.0 * left + abs(chance.gauss(0, 0.02)),
            "val_loss": best + 1.9 * left + abs(chance.gauss(0, 0.015)),
            "val_acc": 0.99 - 0.35 * best - 0.6 * left,
        }


def past() -> Iterator[Training]:
    """Trainings that have ended, of two and a half days; the one named FAILED has failed."""
    rows = [(model, rate, seed) for seed in SEEDS for rate in RATES for model in MODELS]
    for number, (model, rate, seed) in enumerate(rows):
        name = f"{model}-{rate:g}-s{seed}"
        yield Training(name, model, rate, seed, _OLDEST_H - number * _APART_H)


def live() -> Training:
    """The newest training, which goes on until its process is stopped."""
    return Training(LIVE, "resnet", 0.02, 0, 0.0)


def check_loss(training: Training, epoch: int) -> None:
    """What the script of the training does after each epoch. Raises FloatingPointError."""
    if training.name == FAILED and epoch == 13:
        raise FloatingPointError(ERROR)
