"""Curves of runs, with the values that are logged this second."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final

import numpy as np
from fastapi import APIRouter, Query

from runlore.domain.filtering.expressions import Value
from runlore.engine.inspection.charts import chart_of, waiting_since
from runlore.engine.inspection.live_cells import live_cells
from runlore.projections.charts import Chart, ChartQuestion, ChartSeries
from runlore.projections.filters import RunFilter
from runlore.projections.grouped_charts import GroupSeries, grouped
from runlore.projections.outliers import span_without_outliers
from runlore.projections.reader import RunsReader
from runlore.studio.encoding import Answer
from runlore.studio.parameters import (
    BUCKETS_MAX,
    METRICS_MAX,
    RUNS_MAX,
    AsOf,
    Columns,
    ServedLanes,
)
from runlore.workspace import Workspace, session_of

router = APIRouter()

_GREATEST: Final = sys.float_info.max

RunIds = Annotated[list[str], Query(alias="run", min_length=1, max_length=RUNS_MAX)]


@router.get("/charts")
async def charts(
    lanes: ServedLanes,
    run_ids: RunIds,
    metrics: Annotated[list[str], Query(alias="metric", min_length=1, max_length=METRICS_MAX)],
    x: Annotated[str, Query(max_length=1_000)] = "step",
    low: Annotated[float | None, Query(alias="from", allow_inf_nan=False)] = None,
    high: Annotated[float | None, Query(alias="to", allow_inf_nan=False)] = None,
    buckets: Annotated[int, Query(ge=1, le=BUCKETS_MAX)] = 1_000,
    smooth: Annotated[float | None, Query(gt=0, allow_inf_nan=False)] = None,
    group: Annotated[str | None, Query(max_length=1_000)] = None,
    bands: Annotated[int, Query(ge=0)] = RUNS_MAX * METRICS_MAX,
    as_of: AsOf = None,
) -> Answer:
    """Curves of metrics on a common axis, each in its own places of the axis.

    Values that a run of this host has logged but not yet written are among them. `smooth` is the
    distance in steps at which an earlier value counts half. With a field as `group`, `groups` has
    the mean of the runs that have the same value there. `spans` has by metric the least and the
    greatest value without outliers, and how many buckets have some. Of more than `bands` series
    none has `min`, `max`, `mean` and `std`: no chart draws a band around each of many curves.
    """
    between = None
    if low is not None or high is not None:
        between = (-_GREATEST if low is None else low, _GREATEST if high is None else high)
    asked = ChartQuestion(run_ids, metrics, x, between, buckets, smooth)

    def question(shown: Workspace, reader: RunsReader) -> dict[str, Any]:
        chart = chart_of(session_of(shown), reader, asked)
        groups = None if group is None else grouped(chart, groups_of(reader, run_ids, group))
        return as_columns(chart, groups, with_bands=len(chart.series) <= bands)

    return await lanes.answer_of_tables(as_of, question)


@router.get("/live")
async def live(lanes: ServedLanes, run_ids: RunIds) -> Answer:
    """By run and metric, when the last value was logged that is not in the log yet.

    A page whose charts show active runs asks twice a second, and for those curves again that have
    changed.
    """
    return await lanes.answer(
        None, lambda shown: {"waiting": waiting_since(session_of(shown), run_ids)}
    )


@router.get("/live/cells")
async def live_cells_of_runs(lanes: ServedLanes, run_ids: RunIds, columns: Columns) -> Answer:
    """By run and column, the metrics that have values which are not in the log yet.

    All other cells of a table are as `/api/runs` has them from `position` on.
    """
    return await lanes.answer_of_tables(
        None,
        lambda shown, reader: live_cells(session_of(shown), reader, run_ids, columns)._asdict(),
    )


def groups_of(reader: RunsReader, run_ids: list[str], field: str) -> dict[str, str]:
    """The value of a field as text, by run."""
    quoted = ", ".join(str(Value.quoted_text(one)) for one in dict.fromkeys(run_ids))
    which = RunFilter(where=f"id in ({quoted})", include_children=True)
    columns = list(dict.fromkeys(["id", field]))
    table = reader.runs_table(which, columns=columns, limit=RUNS_MAX).first_columns(RUNS_MAX)
    ids, values = table[0], table[-1]
    return {
        run_id: "none" if value is None else str(value)
        for run_id, value in zip(ids, values, strict=True)
    }


def as_columns(
    chart: Chart, groups: list[GroupSeries] | None, *, with_bands: bool
) -> dict[str, Any]:
    """A chart as columns; `odd` has a row for each bucket with values that are not finite."""
    by_metric: dict[str, list[ChartSeries]] = {}
    for one in chart.series:
        by_metric.setdefault(one.metric, []).append(one)
    answer: dict[str, Any] = {
        "x": chart.x,
        "series": [_series(one, with_bands=with_bands) for one in chart.series],
        "spans": {name: span_without_outliers(own) for name, own in by_metric.items()},
    }
    if groups is not None:
        answer["groups"] = [one._asdict() for one in groups]
    return answer


def _series(one: ChartSeries, *, with_bands: bool) -> dict[str, Any]:
    counts = (one.n_nan, one.n_positive, one.n_negative)
    odd = np.flatnonzero(np.any(counts, axis=0))
    band = {"min": one.least, "max": one.greatest, "mean": one.mean, "std": one.deviation}
    return {
        "run": one.run_id,
        "metric": one.metric,
        "total": one.total,
        "places": one.places,
        "last": one.last,
        **(band if with_bands else {}),
        **({} if one.smooth is None else {"smooth": one.smooth}),
        "odd": np.stack([one.places, *counts])[:, odd].T.tolist(),
    }
