"""The span of a chart without its outliers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from runlore.projections.charts import ChartSeries

_FENCE: Final = 3.0  # Tukey's far out: three times the distance of the quartiles beyond them.


class Span(NamedTuple):
    """The values to show, and in how many buckets of how many curves there are others."""

    low: float
    high: float
    outside: int


def span_without_outliers(series: Sequence[ChartSeries]) -> Span | None:
    """The span of the curves of one metric without far outliers; None if there is no finite value.

    An outlier lies more than three times the distance of the quartiles beyond them. The quartiles
    are those of the least and greatest values of all buckets.
    """
    least = np.concatenate([one.least for one in series]) if series else np.empty(0)
    greatest = np.concatenate([one.greatest for one in series]) if series else np.empty(0)
    edges = np.concatenate([least, greatest])
    edges = edges[np.isfinite(edges)]
    if not len(edges):
        return None
    lower, upper = np.quantile(edges, [0.25, 0.75])
    reach = _FENCE * (upper - lower) or np.inf  # Most are the same: nothing says what is far.
    low = max(edges.min(), lower - reach)
    high = min(edges.max(), upper + reach)
    outside = int(((least < low) | (greatest > high)).sum())
    return Span(float(low), float(high), outside)
