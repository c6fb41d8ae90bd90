"""The metrics of a run in short: last value, last step, rate, and a curve of a few points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runlore.domain.filtering.fields import Namespace
from runlore.domain.filtering.parser import parse_field
from runlore.domain.ids import values_prefix
from runlore.domain.system_metrics import is_sampled
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.metric_blocks import thinned
from runlore.engine.runs.metric_reads import metrics_of
from runlore.engine.runs.metric_values import ARTIFACT_KINDS, MetricValues
from runlore.projections.filters import RunFilter
from runlore.shown.card import ShownMetric
from runlore.storage.log_query import LogQuery

BATCHES_MAX: Final = 500
_POINTS: Final = 60
_RATE_OF: Final = 50  # The last values over which a rate is taken.


def metric_facts(
    run: RunHandle, most: int, *, batches_max: int = BATCHES_MAX
) -> tuple[Sequence[ShownMetric], int]:
    """The first metrics of a run, at most so many, and the number of the others.

    Those of a run with more than `batches_max` batches come from the projection, in the order of
    their names: they may be a few seconds behind a process that logs.
    """
    session = run.session
    batches = session.log.count_events(LogQuery(prefix=values_prefix(run.id)))
    if batches > batches_max and not session.is_memory:
        return _of_projection(run, most)
    found = [
        metric
        for name, metric in metrics_of(run).items()
        if metric.kind not in ARTIFACT_KINDS and not is_sampled(name)
    ]
    return [_of_values(metric) for metric in found[:most]], max(0, len(found) - most)


def _of_values(metric: MetricValues) -> ShownMetric:
    rate, step = _rate(metric.steps, metric.times), int(metric.steps[-1])
    if metric.kind != "scalar":
        return ShownMetric(metric.name, "a table", len(metric), last_step=step, rate=rate)
    last: Any = metric.values[-1:].tolist()[0]
    curve = thinned(metric, _POINTS).values.tolist()
    return ShownMetric(metric.name, last, len(metric), curve, step, rate)


def _of_projection(run: RunHandle, most: int) -> tuple[Sequence[ShownMetric], int]:
    reader = run.session.reader()
    which = RunFilter(run_ids=[run.id], include_children=True, include_archived=True)
    table = reader.runs_table(which, metrics=("last", "n"))
    held = {
        (field.name, field.aggregate): value
        for column, value in zip(table.columns, next(iter(table), ()), strict=False)
        if (field := parse_field(column)).namespace is Namespace.METRICS
    }
    names = [name for name, kind in held if kind == "last" and not is_sampled(name)]
    shown = []
    for name in names[:most]:
        n = int(held.get((name, "n")) or 0)
        metric = ShownMetric(name, held[name, "last"], n)
        for curve in reader.curves([run.id], name, max_points=_POINTS):
            rate, step = _rate(curve.steps, curve.times), int(curve.steps[-1])
            metric = ShownMetric(name, metric.last, n, curve.values.tolist(), step, rate)
        shown.append(metric)
    return shown, max(0, len(names) - most)


def _rate(steps: NDArray[np.int64], times: NDArray[Any]) -> float | None:
    """Steps per second of the last values; None if they took no time or did not go on."""
    first = max(0, len(steps) - _RATE_OF)
    moments = times.astype("datetime64[us]").astype(np.int64)
    seconds = float(moments[-1] - moments[first]) / 1e6
    went = float(steps[-1]) - float(steps[first])
    return went / seconds if seconds > 0 and went > 0 else None
