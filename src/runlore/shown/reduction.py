"""The few points of a long series that a chart shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runlore.domain.errors import InvalidInput

Ints = NDArray[np.int64]


def check_max_points(max_points: object) -> None:
    """Raises InvalidInput unless a chart can have this many points."""
    if not isinstance(max_points, int) or isinstance(max_points, bool) or max_points < 2:
        raise InvalidInput(f"max_points is {max_points!r:.80}; it takes a whole number, at least 2")


def as_floats(values: Sequence[Any]) -> NDArray[np.float64]:
    """Logged values as float64 of shape (n,); those that are not numbers are NaN."""
    numbers = (value if isinstance(value, int | float) else np.nan for value in values)
    return np.array([nearest_float(number) for number in numbers], np.float64)


def nearest_float(value: float) -> float:
    """The value as a float; beyond the range of floats, an infinity."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


class ValueCounts(NamedTuple):
    """How many values of a series a chart has no place for; the last on a logarithmic axis only."""

    nan: int
    infinite: int
    not_above_0: int

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> ValueCounts:
        """Those of the values, shape (n,)."""
        finite = values[np.isfinite(values)]
        nan = int(np.isnan(values).sum())
        return cls(nan, len(values) - len(finite) - nan, int((finite <= 0).sum()))


def thinned_rows(values: NDArray[np.float64], max_points: int) -> Ints:
    """The places of the values that a chart of at most `max_points` points shows, in order.

    All, if there are no more. Otherwise the first and the last, and of each of equally long
    stretches between them the least and the greatest value, and the first NaN: a peak stays a peak,
    and a gap a gap, however short (if there are at least 5 points).
    """
    n = len(values)
    if n <= max_points:
        return np.arange(n)
    has_gaps = max_points >= 5 and bool(np.isnan(values).any())
    buckets = (max_points - 2) // (3 if has_gaps else 2)
    inner = values[1:-1]
    kept = [np.array([0, n - 1])]
    if buckets:
        length, longer = divmod(len(inner), buckets)
        # The first ones are one longer, so that each kind is a matrix.
        cut = longer * (length + 1)
        kept.append(1 + _extremes(inner[:cut].reshape(longer, length + 1), gaps=has_gaps))
        rest = inner[cut:].reshape(buckets - longer, length)
        kept.append(1 + cut + _extremes(rest, gaps=has_gaps))
    return np.unique(np.concatenate(kept))


def _extremes(rows: NDArray[np.float64], *, gaps: bool) -> Ints:
    """Where the least and the greatest values of the rows are, in the flattened matrix.

    And the first NaN of each row that has one, if it is asked for `gaps`.
    """
    if not rows.size:
        return np.empty(0, np.int64)
    starts = np.arange(len(rows)) * rows.shape[1]
    least, greatest = rows.argmin(axis=1), rows.argmax(axis=1)
    nan = np.isnan(rows[np.arange(len(rows)), least])  # NaN is what both find first.
    first_nan = (starts + least)[nan & gaps]
    if nan.any():
        some = rows[nan]
        least[nan] = np.where(np.isnan(some), np.inf, some).argmin(axis=1)
        greatest[nan] = np.where(np.isnan(some), -np.inf, some).argmax(axis=1)
    return np.concatenate([starts + least, starts + greatest, first_nan])
