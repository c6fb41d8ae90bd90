"""A cost at several sizes, its slope on log-log axes, and how steep it may be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

Axis = Literal["runs", "points"]


@dataclass(frozen=True)
class Shape:
    """How a cost should grow: as size to the power of at most `slope`."""

    name: str
    slope: float


FLAT: Final = Shape("flat", 0.2)
SUBLINEAR: Final = Shape("sublinear", 0.8)
LINEAR: Final = Shape("linear", 1.1)
"""Room for noise included: two neighbouring decades that differ by a tenth make 0.04."""


@dataclass(frozen=True)
class Quantity:
    """A panel of the figure."""

    axis: Axis
    key: str
    what: str
    unit: str
    shape: Shape


class Measured(NamedTuple):
    """A figure at a size, and what the machine needed for the baseline at that moment."""

    key: str
    size: int
    figure: float
    baseline: float = 1.0


@dataclass
class Curve:
    """One tracker's figures of one quantity, by size; `note` says why it ends early.

    Slopes are of figures divided by their baselines where there are any: a machine that is busy
    with something else at one of the sizes must not look like growth.
    """

    quantity: Quantity
    tracker: str
    figures: dict[int, float] = field(default_factory=dict)
    note: str = ""
    baselines: dict[int, float] = field(default_factory=dict)

    def add(self, measured: Measured) -> None:
        """One more size."""
        self.figures[measured.size] = measured.figure
        self.baselines[measured.size] = measured.baseline

    @property
    def ratios(self) -> dict[int, float]:
        """The figures in units of their baselines."""
        return {size: it / self.baselines.get(size, 1.0) for size, it in self.figures.items()}

    @property
    def slope(self) -> float:
        """Of all sizes."""
        return fitted_slope(self.ratios)

    @property
    def last_slope(self) -> float:
        """Between the two largest sizes, where a constant part no longer hides the growth."""
        return fitted_slope(dict(sorted(self.ratios.items())[-2:]))

    @property
    def as_it_should_be(self) -> bool:
        """Whether neither slope is steeper than allowed."""
        return max(self.slope, self.last_slope) <= self.quantity.shape.slope

    @property
    def verdict(self) -> str:
        """A line that says so."""
        if len(self.figures) < 2:
            return f"no slope: {self.note or 'one size only'}"
        found = f"slope {self.slope:.2f}, {self.last_slope:.2f} at the end"
        wanted = f"{self.quantity.shape.name} is at most {self.quantity.shape.slope:g}"
        return f"{found}; {wanted}: {'as it should be' if self.as_it_should_be else 'TOO STEEP'}"


def fitted_slope(figures: Mapping[int, float]) -> float:
    """The exponent of the power law that fits best; NaN without two sizes and positive figures."""
    points = [(math.log(size), math.log(figure)) for size, figure in figures.items() if figure > 0]
    if len(points) < 2:
        return math.nan
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


def decades(first: int, last: int) -> Sequence[int]:
    """first, 10 first, ... up to last."""
    sizes = []
    while first <= last:
        sizes.append(first)
        first *= 10
    return sizes
