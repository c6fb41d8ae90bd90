"""The curves of a run's or an experiment's metrics, read for a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from runlore.domain.errors import InvalidInput
from runlore.domain.run_marks import chosen_look
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.metric_reads import values_of
from runlore.notebook.groups import grouped
from runlore.notebook.plot import Plot
from runlore.projections.filters import RunFilter
from runlore.projections.smoothing import check_half_life, smoothed
from runlore.projections.sql_result import first_rows
from runlore.shown.chart import Chart, Floats, Line
from runlore.shown.colours import DASHES, LIGHT, look_of
from runlore.shown.numbers import short_number
from runlore.shown.reduction import as_floats

if TYPE_CHECKING:
    from runlore.engine.session import Session

_X: Final = {
    "step": ("step", "whole"),
    "time": ("time (UTC)", "time"),
    "since": ("seconds since the first value", "number"),
}
_UNITS: Final = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"))
_POINTS: Final = 20_000


def plot_of_run(
    run: RunHandle, metrics: Sequence[str], x: str, smooth: float | None, **options: Any
) -> Plot:
    """The curves of metrics of one run. Raises InvalidInput for an unknown metric."""
    half_life = None if smooth is None else check_half_life(smooth)
    if not metrics:
        raise InvalidInput("plot() of a run takes the names of metrics, as in run.plot('loss')")
    label, kind = _axis(x)
    lines = []
    for place, name in enumerate(dict.fromkeys(metrics)):
        found = values_of(run, name)
        if found.kind != "scalar":
            raise InvalidInput(
                f"metric {name!r:.80} is a {found.kind}, and plots are of scalar metrics; take its "
                "columns from run.values()"
            )
        values = found.values
        heights = (
            values.astype(np.float64) if values.dtype.kind in "fi" else as_floats(values.tolist())
        )
        line = _line(name, x, found.steps, found.times, heights, place)
        if half_life is not None:
            line = replace(line, y=smoothed(found.steps, heights, half_life), raw=heights)
        lines.append(line)
    title = ", ".join(dict.fromkeys(metrics))
    return _plot(lines, title, label, kind, x, _smoothing(half_life), options)


def plot_of_experiment(
    session: Session,
    which: RunFilter,
    metric: str,
    x: str,
    *,
    group_by: str | None,
    limit: int,
    smooth: float | None,
    **options: Any,
) -> Plot:
    """A metric's curve of each of the newest runs, or of each group of them its mean and range."""
    if type(limit) is not int or limit < 1:
        raise InvalidInput(f"limit is {limit!r:.80}; it takes a whole number from 1 on")
    half_life = None if smooth is None else check_half_life(smooth)
    label, kind = _axis(x)
    reader = session.reader()
    columns = ["id", "name", "number", *([] if group_by is None else [group_by])]
    table = reader.runs_table(which, columns=columns)
    rows = first_rows(table, len(table))
    curves = {
        curve.run_id: curve
        for curve in reader.curves(
            [row[0] for row in rows], metric, max_points=_POINTS, half_life=half_life
        )
    }
    having = [row for row in rows if row[0] in curves]
    if not having:
        raise InvalidInput(
            f"no run of these has the metric {metric!r:.80}; runs_table() shows which they have"
        )
    chosen = having if group_by is not None else having[:limit]
    more = "" if len(chosen) == len(having) else f"newest {limit:,} of {len(having):,} runs"
    names = _names([(run_id, name, number) for run_id, name, number, *_ in chosen])
    marks = reader.marks_of([row[0] for row in chosen])
    lines = []
    for run_id, _, number, *_ in chosen:
        curve = curves[run_id]
        line = _line(names[run_id], x, curve.steps, curve.times, curve.values, 0)
        if curve.smoothed is not None:
            line = replace(line, y=curve.smoothed, raw=line.y)
        own = marks[run_id]
        colour, dash = look_of(number, own.experiment_id, chosen_look(own.colour))
        lines.append(replace(line, colour=colour, dash=dash, counts=curve.counts))
    if group_by is not None:
        lines, more = grouped(lines, [row[3] for row in chosen], table.columns[3], limit)
    more = ", ".join(filter(None, (_smoothing(half_life), more)))
    return _plot(lines, metric, label, kind, x, more, options)


def _smoothing(half_life: float | None) -> str:
    return "" if half_life is None else f"smoothed over {short_number(half_life)} steps"


def _axis(x: str) -> tuple[str, str]:
    if x not in _X:
        raise InvalidInput(f"x is {x!r:.80}; it takes one of {', '.join(_X)}")
    return _X[x]


def _line(name: str, x: str, steps: Any, times: Any, values: Floats, place: int) -> Line:
    """A line; `times` are in µs since 1970, or datetime64[us]."""
    along = steps.astype(np.float64)
    if x != "step":
        along = times.astype("datetime64[us]").astype(np.int64) / 1e6
        if x == "since" and len(along):
            along = along - along.min()
    look = place % len(LIGHT.lines), place // len(LIGHT.lines) % len(DASHES)
    return Line(name, along, values, *look)


def _names(runs: Sequence[tuple[str, str, int]]) -> dict[str, str]:
    """What the legend calls each run: its name, with its number if the name is not its own."""
    counts: dict[str, int] = {}
    shown = {run_id: run_id[:8] if name == run_id else name for run_id, name, _ in runs}
    for name in shown.values():
        counts[name] = counts.get(name, 0) + 1
    return {
        run_id: shown[run_id] if counts[shown[run_id]] == 1 else f"{shown[run_id]} #{number}"
        for run_id, _, number in runs
    }


def _plot(
    lines: Sequence[Line],
    title: str,
    label: str,
    kind: Any,
    x: str,
    more: str,
    options: dict[str, Any],
) -> Plot:
    if x == "since":
        longest = max((float(line.x.max()) for line in lines if len(line.x)), default=0.0)
        for length, unit in _UNITS:
            if longest >= 2 * length:
                lines = [replace(line, x=line.x / length) for line in lines]
                label = f"{unit} since the first value"
                break
    given = {key: value for key, value in options.items() if value is not None}
    for name, least in (("width", 200), ("height", 120)):
        size = given.get(name, least)
        if type(size) is not int or not least <= size <= 10_000:
            raise InvalidInput(f"{name} is {size!r:.80}; it takes {least} to 10,000 pixels")
    return Plot(
        Chart(lines=lines, **{"title": title, "more": more, **given}, x_label=label, x_kind=kind)
    )
