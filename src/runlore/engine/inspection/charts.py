"""Charts of runs as they are now: from the tables, and the spools of this host."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from runlore.engine.session import Session

if TYPE_CHECKING:
    from runlore.projections.charts import Chart, ChartQuestion
    from runlore.projections.live_points import LivePoints
    from runlore.projections.reader import RunsReader
    from runlore.storage.spool_folder import LiveValues
    from runlore.storage.value_codec import Part


def chart_of(session: Session, reader: RunsReader, question: ChartQuestion) -> Chart:
    """The chart with all values that are logged, those of live spools included, each once.

    `reader` is one of the session's. See `RunsReader.chart`.
    """
    head, live = live_at_head(session, question.run_ids)
    points = [one for run_id, held in live.items() for one in points_of(run_id, held)]
    return reader.at(head).chart(question, points) if points else reader.chart(question)


def metric_kinds_of(session: Session, reader: RunsReader, run_id: str) -> dict[str, str]:
    """By name, in the order of first values, the kind of each metric of a run, live ones included.

    `reader` is one of the session's. See `RunsReader.metric_kinds`.
    """
    _, live = live_at_head(session, [run_id])
    logged = reader.metric_kinds(run_id)
    waiting = {
        part.series.name: part.series.kind for one in live.values() for part in parts_of(one)
    }
    return logged | {name: kind for name, kind in waiting.items() if name not in logged}


def live_at_head(session: Session, run_ids: Collection[str]) -> tuple[int, dict[str, LiveValues]]:
    """A position at the end of the log, and the values of runs that are not in the log until it."""
    session.before_read(of_spools=True)
    while True:
        head = session.log.last_position()
        live = session.live_values_of(run_ids)
        # Values that a spool wrote to the log in between are in neither: read again.
        if all(mark.position <= head for one in live.values() for mark in one.marks.values()):
            return head, live


def waiting_since(session: Session, run_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """By run and metric, the time (µs since 1970 UTC) of the last value that is not in the log yet.

    It changes with each value that is logged: a chart is drawn again when it does.
    """
    session.before_read(of_spools=True)
    return {
        run_id: {part.series.name: part.times[-1] for part in parts_of(held)}
        for run_id, held in session.live_values_of(run_ids).items()
        if held.pieces
    }


def parts_of(live: LiveValues) -> Iterator[Part]:
    """The parts of live values, in the order of logging."""
    for pieces in live.pieces.values():
        for piece in pieces:
            yield from piece


def points_of(run_id: str, live: LiveValues) -> Iterator[LivePoints]:
    """The numbers of scalar metrics, by metric."""
    import numpy as np

    from runlore.projections.live_points import LivePoints
    from runlore.shown.reduction import as_floats
    from runlore.storage.value_reader import block_of

    by_metric: dict[str, list[Part]] = {}
    for part in parts_of(live):
        if part.series.kind == "scalar" and not part.series.columns:
            by_metric.setdefault(part.series.name, []).append(part)
    for name, parts in by_metric.items():
        blocks = [block_of(part) for part in parts]
        held = [value for block in blocks for value in block.columns[0].tolist()]
        numbers = np.array([isinstance(value, int | float) for value in held], bool)
        if numbers.any():
            steps = np.concatenate([block.steps for block in blocks])
            times = np.concatenate([block.times for block in blocks])
            yield LivePoints(run_id, name, steps[numbers], times[numbers], as_floats(held)[numbers])
