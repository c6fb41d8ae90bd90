"""Smoothed curves: a mean of what came before, in which far steps count less."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from runlore.domain.errors import InvalidInput

Floats = NDArray[np.float64]

_NOTHING: Final = 2.0**-60
"""The share below which an earlier value no longer changes a float64."""


def check_half_life(half_life: object) -> float:
    """A distance of steps as a float. Raises InvalidInput unless it is finite and more than 0."""
    is_number = isinstance(half_life, int | float) and not isinstance(half_life, bool)
    if not is_number or not 0 < half_life < math.inf:  # type: ignore[operator]  # It is a number.
        raise InvalidInput(
            f"smooth is {half_life!r:.80}; it takes the distance in steps at which a value counts "
            "half, a number more than 0"
        )
    return float(half_life)  # type: ignore[arg-type]  # It is a number.


def smoothed(
    steps: NDArray[np.int64] | Floats,
    values: Floats,
    half_life: float,
    *,
    begins: NDArray[np.bool_] | None = None,
) -> Floats:
    """The mean of each value and the earlier ones, of which one `half_life` steps back counts half.

    All arrays have shape (n,), in the order of logging. A curve begins anew where `begins` is true
    (for several curves in one array), after a value that is not finite, which is NaN here, and
    where steps go backwards. A smoothed value depends only on earlier ones, and so neither on the
    length of the curve nor on the part of it that is shown. Costs O(n log n).

    >>> smoothed(np.array([0, 10]), np.array([0.0, 3.0]), 10.0).tolist()
    [0.0, 2.0]
    """
    means = np.array(values, np.float64)
    finite = np.isfinite(means)
    if len(means) < 2:
        means[~finite] = np.nan
        return means
    with np.errstate(all="ignore"):
        decay = np.empty(len(means))
        decay[0] = 0.0
        decay[1:] = np.exp2(-np.diff(np.asarray(steps, np.float64)) / half_life)
        decay[1:][decay[1:] > 1.0] = 0.0  # Steps go backwards.
        decay[1:][~finite[:-1]] = 0.0
        if begins is not None:
            decay[begins] = 0.0
        _accumulate(means, np.ones(len(means)), decay)
    means[~finite] = np.nan
    return means


def _accumulate(means: Floats, weights: Floats, decay: Floats) -> None:
    """Each place together with all before it: twice as many of them in each round.

    `decay` is what is left at a place of the weight at the one before it, 0 at a beginning.
    """
    reach = 1
    while reach < len(means) and (decay > _NOTHING).any():
        earlier = decay[reach:] * weights[:-reach]
        whole = weights[reach:] + earlier
        share = earlier / whole
        counts = share > _NOTHING  # Elsewhere an infinite value before a beginning gives NaN.
        means[reach:] = np.where(
            counts, means[reach:] * (1.0 - share) + means[:-reach] * share, means[reach:]
        )
        weights[reach:] = whole
        decay[reach:] = decay[reach:] * decay[:-reach]
        decay[:reach] = 0.0
        reach *= 2
