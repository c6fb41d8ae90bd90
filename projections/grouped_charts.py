"""Curves of groups of runs: their mean, with what lies around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runlore.projections.charts import Chart, ChartSeries

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class GroupSeries(NamedTuple):
    """One metric of the runs of a group, at the places of the axis where one of them has a value.

    All arrays have shape (n,). Each run counts with the last value of a bucket, or the one before
    where it has none, from its first to its last. `mean`, `deviation` (standard deviation of the
    runs), `least`, `greatest` and `smooth` (the mean of the smoothed values, if there are some) are
    float64; `n` is the number of runs that count, int64.
    """

    group: str
    run_ids: list[str]
    metric: str
    places: Ints
    mean: Floats
    deviation: Floats
    least: Floats
    greatest: Floats
    n: Ints
    smooth: Floats | None


def grouped(chart: Chart, groups: Mapping[str, str]) -> list[GroupSeries]:
    """The series of each group, by the name that `groups` gives a run, in the chart's order.

    Runs without a group are left out. Memory grows with the length of the axis and the runs of one
    group, not with all series.
    """
    members: dict[tuple[str, str], list[ChartSeries]] = {}
    for one in chart.series:
        if one.run_id in groups:
            members.setdefault((groups[one.run_id], one.metric), []).append(one)
    return [_together(len(chart.x), *key, series) for key, series in members.items()]


def _together(length: int, group: str, metric: str, series: Sequence[ChartSeries]) -> GroupSeries:
    values = np.array([_held(length, one.places, one.last) for one in series])
    n = np.isfinite(values).sum(axis=0)
    places = np.flatnonzero(n)
    values = values[:, places]
    with np.errstate(all="ignore"):
        mean, deviation = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    smooth = None
    of_smooth = [(one.places, one.smooth) for one in series if one.smooth is not None]
    if of_smooth:
        held = np.array([_held(length, *one) for one in of_smooth])
        smooth = np.nanmean(held[:, places], axis=0)
    return GroupSeries(
        group,
        [one.run_id for one in series],
        metric,
        places,
        mean,
        deviation,
        np.nanmin(values, axis=0, initial=np.inf),
        np.nanmax(values, axis=0, initial=-np.inf),
        n[places],
        smooth,
    )


def _held(length: int, places: Ints, values: Floats) -> Floats:
    """The values spread over the axis: each until the next one, NaN before the first one.

    It is NaN after the last one, too. Where a value is not finite, the one before it is held.
    """
    spread = np.full(length, np.nan)
    finite = np.isfinite(values)
    kept = places[finite]
    if len(kept):
        within = np.arange(kept[0], kept[-1] + 1)
        spread[within] = values[finite][np.searchsorted(kept, within, side="right") - 1]
    return spread
