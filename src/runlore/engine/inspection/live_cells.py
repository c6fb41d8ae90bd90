"""Cells of tables of runs as they are now: with the values that are in spools of this host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from runlore.domain.filtering.fields import Namespace
from runlore.domain.filtering.parser import parse_field
from runlore.engine.inspection.charts import live_at_head, parts_of, points_of
from runlore.engine.session import Session
from runlore.projections.filters import RunFilter

if TYPE_CHECKING:
    from runlore.projections.live_points import LivePoints
    from runlore.projections.reader import RunsReader
    from runlore.storage.spool_folder import LiveValues


_HELD: Final = ("first", "min", "max", "mean", "n", "numbers", "n_nonfinite")


class LiveCells(NamedTuple):
    """By run and column, the values of metrics that have some which are not in the log.

    All other cells are those of the tables as of `position`.
    """

    position: int
    cells: dict[str, dict[str, Any]]


def live_cells(
    session: Session, reader: RunsReader, run_ids: Collection[str], columns: Sequence[str]
) -> LiveCells:
    """The cells of these columns in which a run has logged a number that is not in the log yet.

    `reader` is one of the session's. Raises FilterError for an unknown field.
    """
    fields = {column: parse_field(column) for column in columns}
    metrics = {one.name for one in fields.values() if one.namespace is Namespace.METRICS}
    head, live = live_at_head(session, run_ids)
    points = [
        one
        for run_id, held in live.items()
        for one in _numbers_alone(run_id, held)
        if one.metric in metrics
    ]
    if not points:
        return LiveCells(head, {})
    summaries = _summaries(reader.at(head), points)
    cells: dict[str, dict[str, Any]] = {}
    for one in points:
        held = summaries.get((one.run_id, one.metric), {})
        for column, field in fields.items():
            if field.namespace is Namespace.METRICS and field.name == one.metric:
                value = _together(field.aggregate, held, one)
                cells.setdefault(one.run_id, {})[column] = value
    return LiveCells(head, cells)


def _numbers_alone(run_id: str, live: LiveValues) -> list[LivePoints]:
    """The live points of metrics that have no other live values: texts come with the log."""
    logged: Counter[str] = Counter()
    for part in parts_of(live):
        logged[part.series.name] += len(part.times)
    return [one for one in points_of(run_id, live) if len(one.values) == logged[one.metric]]


def _summaries(
    reader: RunsReader, points: Sequence[LivePoints]
) -> dict[tuple[str, str], dict[str, Any]]:
    """What the log has of each series, by run and metric."""
    from runlore.projections.metric_columns import MetricColumn

    names = list(dict.fromkeys(one.metric for one in points))
    run_ids = list(dict.fromkeys(one.run_id for one in points))
    which = RunFilter(run_ids=run_ids, include_children=True, include_archived=True)
    rows = reader.run_table(
        [MetricColumn(name, what=what) for name in names for what in _HELD], which
    )
    width = len(_HELD)
    return {
        (row.run.run_id, name): dict(
            zip(_HELD, row.values[width * place : width * (place + 1)], strict=True)
        )
        for row in rows
        for place, name in enumerate(names)
        if row.values[width * place + _HELD.index("n")]
    }


def _together(aggregate: str, held: dict[str, Any], live: LivePoints) -> Any:
    """An aggregate of a series: of its values in the log, and of the live ones after them."""
    import numpy as np

    if aggregate == "n":
        return held.get("n", 0) + len(live.values)
    if aggregate == "first":
        return held["first"] if held else live.values[0]
    if aggregate == "last":
        return live.values[-1]
    finite = live.values[np.isfinite(live.values)]
    before = held.get(aggregate)
    if aggregate == "mean":
        n = held["numbers"] - held["n_nonfinite"] if held else 0
        if not n + len(finite):
            return None
        return ((before or 0.0) * n + finite.sum()) / (n + len(finite))
    every = [*([] if before is None else [before]), *finite.tolist()]
    if not every:
        return None
    return min(every) if aggregate == "min" else max(every)
