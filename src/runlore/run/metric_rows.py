"""A run's metrics as rows: one per metric and column, or one per value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from runlore.domain.system_metrics import is_sampled
from runlore.engine.runs.metric_reads import metrics_of
from runlore.run.run import Run, handle_of

Row = dict[str, Any]

VALUE_COLUMNS: Final = ("metric", "column", "step", "time", "value")


def summary_rows(run: Run, *, sampled: bool = False) -> list[Row]:
    """One row per metric and column: count, last, min, max and mean value, and last step.

    Of the metrics that were logged, or of those that were `sampled` of the system. Values that are
    not numbers are counted, but left out of min, max and mean.
    """
    return [_summary(metric, column, values) for metric, column, values in _series(run, sampled)]


def value_rows(run: Run, *, sampled: bool = False) -> list[Row]:
    """Every value in the order of logging, series by series; times are text in UTC."""
    return [
        dict(zip(VALUE_COLUMNS, (metric, column, step, time, value), strict=True))
        for metric, column, values in _series(run, sampled)
        for step, time, value in values
    ]


def last_values(run: Run) -> dict[str, Any]:
    """The last value of each metric; of a table, one per column, as `metric.column`."""
    return {
        metric if column is None else f"{metric}.{column}": values[-1][2]
        for metric, column, values in _series(run, sampled=False)
        if values
    }


_Values = list[tuple[int, str, Any]]


def _series(run: Run, sampled: bool) -> Iterator[tuple[str, str | None, _Values]]:
    for metric in metrics_of(handle_of(run)).values():
        if is_sampled(metric.name) is not sampled:
            continue
        steps = metric.steps.tolist()
        times = [f"{time}Z" for time in metric.times.astype(str).tolist()]
        for name, column in metric.columns.items():
            values = list(zip(steps, times, column.tolist(), strict=True))
            yield metric.name, name if metric.kind == "row" else None, values


def _summary(metric: str, column: str | None, values: _Values) -> Row:
    numbers = [
        value
        for _, _, value in values
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value
    ]
    return {
        "metric": metric,
        "column": column,
        "count": len(values),
        "last": values[-1][2] if values else None,
        "min": min(numbers, default=None),
        "max": max(numbers, default=None),
        "mean": sum(numbers) / len(numbers) if numbers else None,
        "last_step": values[-1][0] if values else None,
    }
