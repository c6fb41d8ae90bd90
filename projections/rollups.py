"""A run and all below it, summed up, as the views `run_rollup` and `metric_rollup` do it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from runlore.domain.fact import utc_time
from runlore.projections.conditions import Conditions
from runlore.projections.driver import duckdb
from runlore.projections.metric_summaries_as_of import LATEST, latest_as_of
from runlore.projections.rewinds import VALID_POINTS
from runlore.projections.trees import runs_then
from runlore.projections.views import Sources, view_over

_RUNS: Final = """
SELECT runs, children, statuses, lost, worst_status, epoch_us(first_started_at),
       epoch_us(last_ended_at)
FROM ({view}) WHERE run_id = ?
"""
_BEST: Final = """
SELECT {mode}_run_id, "{mode}", {mode}_step FROM ({view})
WHERE run_id = ? AND metric = ? AND column_name = '' AND kind = 'scalar'
"""


class BestValue(NamedTuple):
    """The best finite value of a metric in a subtree, the run that has it, and the step."""

    run_id: str
    value: float
    step: int


class Rollup(NamedTuple):
    """A run and all below it, summed up.

    `runs` counts them, the run itself included, `children` those right below it, and `lost` those
    that failed because their process died without recording an end. `statuses` are the numbers of
    runs by status, without those that no run has. `worst_status` is Failed if any failed, else the
    first that any has of NotResponding, Canceled, CancelRequested, those before the start, Paused,
    Running, Finalizing and Completed. `first_started_at` and `last_ended_at` are aware UTC; None if
    none has started, or ended. `best` is None if no metric was asked for, or none has a finite
    value of it.
    """

    runs: int
    children: int
    statuses: Mapping[str, int]
    lost: int
    worst_status: str
    first_started_at: datetime | None
    last_ended_at: datetime | None
    best: BestValue | None = None


def rollup_of(
    connection: duckdb.DuckDBPyConnection,
    run_id: str,
    metric: str | None,
    mode: str,
    as_of: int | None,
) -> Rollup | None:
    """The rollup of a run, with the best value of a metric; None if the run is unknown."""
    runs = runs_then(connection, as_of)
    roots = connection.execute(
        f"SELECT r.root_no FROM {runs} r WHERE r.run_id = ? AND {Conditions(as_of).known('r')}",
        [run_id],
    ).fetchall()
    if not roots:
        return None
    [(root_no,)] = roots
    sources = Sources(f"(FROM {runs} WHERE root_no = {root_no:d})", VALID_POINTS, LATEST)
    view = view_over("run_rollup", as_of, sources)
    [row] = connection.execute(_RUNS.format(view=view), [run_id]).fetchall()
    count, children, statuses, lost, worst, started, ended = row
    return Rollup(
        count,
        children,
        json.loads(statuses),
        lost,
        worst,
        _time(started),
        _time(ended),
        None if metric is None else _best(connection, run_id, metric, mode, as_of, sources),
    )


def _best(
    connection: duckdb.DuckDBPyConnection,
    run_id: str,
    metric: str,
    mode: str,
    as_of: int | None,
    sources: Sources,
) -> BestValue | None:
    series = connection.execute(
        "SELECT series_no FROM store.series WHERE name = ? AND col = '' AND kind = 'scalar'",
        [metric],
    ).fetchall()
    if not series:
        return None
    [(series_no,)] = series
    with latest_as_of(connection, as_of, only=f"series_no = {series_no:d}") as latest:
        view = view_over("metric_rollup", as_of, sources._replace(latest=latest))
        best: list[Any] = connection.execute(
            _BEST.format(mode=mode, view=view), [run_id, metric]
        ).fetchall()
    return BestValue(*best[0]) if best else None


def _time(us: int | None) -> datetime | None:
    return None if us is None else utc_time(us)
