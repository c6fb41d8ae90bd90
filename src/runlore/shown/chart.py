"""Curves over a common axis, drawn so that no peak and no gap is lost.

Of each pixel column the first, the last, the least and the greatest value are drawn. A value that
is not finite interrupts its line and has a mark at the edge: NaN a hollow triangle at the bottom,
an infinity a full one where it went. A single value is a dot. Where steps go back, as after a
restart from a checkpoint, a new piece of the line begins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runlore.domain.visible_text import visible
from runlore.shown.colours import DASHES
from runlore.shown.reduction import Ints, ValueCounts
from runlore.shown.scene import Area, Label, Mark, Scene, Shape, Stroke
from runlore.shown.ticks import Tick, linear_ticks, log_ticks, time_ticks

Floats = NDArray[np.float64]

LEGEND_MAX: Final = 24
_NAME_MAX_CHARS: Final = 48
_EM: Final = 0.58  # The mean width of a character, in sizes of its font.
_POINTS_MAX: Final = 24_000
RAW_OPACITY: Final = 0.25
_MARKS_MAX: Final = 200
_LEGEND_ROW: Final = 18
_SWATCH: Final = 22


@dataclass(frozen=True)
class Line:
    """A curve: `x` and `y` of shape (n,), float64, in the order of logging.

    `low` and `high`, of the same shape, are the edges of a band around it, and `raw` are the values
    of which `y` is a smoothed form: they are drawn faintly below it. `counts` are those of all
    values, if the line does not have all of them.
    """

    name: str
    x: Floats
    y: Floats
    colour: int = 0
    dash: int = 0
    low: Floats | None = None
    high: Floats | None = None
    raw: Floats | None = None
    counts: ValueCounts | None = None

    @property
    def logged(self) -> Floats:
        """The values as they were logged, shape (n,)."""
        return self.y if self.raw is None else self.raw


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Curves and their axes. `more` says what is not drawn, below the title."""

    lines: Sequence[Line]
    title: str
    x_label: str = "step"
    x_kind: Literal["whole", "number", "time"] = "whole"
    log_x: bool = False
    log_y: bool = False
    width: int = 720
    height: int = 400
    more: str = ""


class _Axis(NamedTuple):
    """The span of an axis, and the pixels to which it is stretched."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def pixels(self, values: Floats) -> Floats:
        """Where the values lie; NaN for those that a logarithmic axis does not have."""
        with np.errstate(all="ignore"):
            share = _share(values, self.low, self.high, self.log)
            return np.asarray(self.start + share * (self.end - self.start))


def scene_of(chart: Chart) -> Scene:
    """The picture of a chart."""
    legend = _legend_rows(chart)
    top = 20 + (20 if chart.title else 0) + (16 if _notes(chart) else 0)
    bottom = chart.height - 40 - _LEGEND_ROW * len(legend)
    bottom = max(bottom, top + 60)
    low, high = _span([values for line in chart.lines for values in _heights(line)], chart.log_y)
    low, high = _padded(low, high, chart.log_y)
    y_ticks = (log_ticks if chart.log_y else linear_ticks)(low, high, max(2, (bottom - top) // 45))
    left = 16 + max((_width(tick.text, 11) for tick in y_ticks), default=0) + 8
    right = chart.width - 20
    x_low, x_high = _span([line.x for line in chart.lines], chart.log_x)
    if x_low == x_high:  # Whole steps on both sides, or seconds.
        room = {"whole": 2.0, "time": 30.0}.get(chart.x_kind)
        x_low, x_high = (
            _padded(x_low, x_high, chart.log_x)
            if room is None or chart.log_x
            else (x_low - room, x_high + room)
        )
    x_axis = _Axis(x_low, x_high, left, right, chart.log_x)
    y_axis = _Axis(low, high, bottom, top, chart.log_y)
    shapes: list[Shape] = [
        *_titles(chart),
        *_y_axis(y_axis, y_ticks, left, right),
        *_x_axis(chart, x_axis, bottom),
    ]
    shapes += _curves(chart, x_axis, y_axis)
    shapes += _legend(legend, left, bottom + 44)
    return Scene(chart.width, max(chart.height, bottom + 40), _description(chart), shapes)


def _description(chart: Chart) -> str:
    names = ", ".join(line.name for line in chart.lines[:8])
    return f"{chart.title}: {names}" if chart.title and names else chart.title or names


# --- scales -------------------------------------------------------------------------------------


def _span(values: Sequence[Floats], log: bool) -> tuple[float, float]:
    """The least and the greatest finite value; of a logarithmic axis, those above 0."""
    ends = [
        (float(chosen.min()), float(chosen.max()))
        for each in values
        if len(chosen := each[np.isfinite(each) & ((each > 0) | (not log))])
    ]
    if not ends:
        return (1.0, 10.0) if log else (0.0, 1.0)
    return min(low for low, _ in ends), max(high for _, high in ends)


def _padded(low: float, high: float, log: bool) -> tuple[float, float]:
    """The span with some room; one that is a single value gets a width."""
    if log:
        spread = (math.log10(high) - math.log10(low)) * 0.05 or 0.5
        floor, ceiling = math.log10(5e-324), math.log10(1.7e308)
        return (
            10 ** max(floor, math.log10(low) - spread) or low,
            10 ** min(ceiling, math.log10(high) + spread),
        )
    half = high / 2 - low / 2  # The difference itself may be infinite.
    room = half * 0.1 if half else abs(low) * 0.1 or 0.5
    most = np.finfo(float).max
    return float(max(-most, low - room)), float(min(most, high + room))


def _share(values: Floats, low: float, high: float, log: bool) -> Floats:
    """Where values lie in a span, from 0 to 1."""
    if log:
        positive = np.where(values > 0, values, np.nan)
        width = math.log10(high) - math.log10(low)
        return np.asarray((np.log10(positive) - math.log10(low)) / (width or 1.0))
    half = high / 2 - low / 2
    return np.asarray((values / 2 - low / 2) / half if half else np.full(values.shape, 0.5))


# --- curves -------------------------------------------------------------------------------------


def _heights(line: Line) -> Iterator[Floats]:
    yield line.logged
    if line.low is not None and line.high is not None:
        yield line.low
        yield line.high


def _curves(chart: Chart, x_axis: _Axis, y_axis: _Axis) -> Iterator[Shape]:
    width = int(x_axis.end - x_axis.start)
    columns = max(100, min(width, _POINTS_MAX // (4 * max(1, len(chart.lines)))))
    for line in chart.lines:
        yield from _band(line, x_axis, y_axis)
    for line in chart.lines:
        if line.raw is not None:
            yield from _curve(line, line.raw, x_axis, y_axis, columns, opacity=RAW_OPACITY)
    for line in chart.lines:
        yield from _curve(line, line.y, x_axis, y_axis, columns)
    for line in chart.lines:
        yield from _marks(x_axis.pixels(line.x), line.logged, line.colour, y_axis)


def _band(line: Line, x_axis: _Axis, y_axis: _Axis) -> Iterator[Shape]:
    if line.low is None or line.high is None:
        return
    x, low, high = x_axis.pixels(line.x), y_axis.pixels(line.low), y_axis.pixels(line.high)
    for piece in _pieces(np.isfinite(x) & np.isfinite(low) & np.isfinite(high), x):
        there = list(zip(x[piece].tolist(), high[piece].tolist(), strict=True))
        back = list(zip(x[piece].tolist(), low[piece].tolist(), strict=True))[::-1]
        yield Area([*there, *back], line.colour)


def _curve(
    line: Line, values: Floats, x_axis: _Axis, y_axis: _Axis, columns: int, *, opacity: float = 1.0
) -> Iterator[Shape]:
    x, y = x_axis.pixels(line.x), y_axis.pixels(values)
    x, y = x[np.isfinite(x)], y[np.isfinite(x)]
    if not len(x):
        return
    kept = _drawn_rows(x, y, x_axis, columns)
    x, y = x[kept], y[kept]
    dash = DASHES[line.dash % len(DASHES)]
    for piece in _pieces(np.isfinite(y), x):
        points = list(zip(x[piece].tolist(), y[piece].tolist(), strict=True))
        if len(points) > 1:
            yield Stroke(points, line.colour, dash=dash, title=line.name, opacity=opacity)
        elif opacity == 1.0:
            yield Mark(points[0], line.colour)


def _marks(x: Floats, raw: Floats, colour: int, y_axis: _Axis) -> Iterator[Shape]:
    """A mark for each value that is not finite; those of a pixel are one."""
    x, raw = x[np.isfinite(x)], raw[np.isfinite(x)]
    kinds: tuple[tuple[NDArray[np.bool_], Literal["up", "down"], bool, float], ...] = (
        (np.isnan(raw), "down", True, y_axis.start - 5),
        (raw == -np.inf, "down", False, y_axis.start - 5),
        (raw == np.inf, "up", False, y_axis.end + 5),
    )
    for chosen, shape, hollow, y in kinds:
        for place in np.unique(np.rint(x[chosen]))[:_MARKS_MAX].tolist():
            yield Mark((place, y), colour, shape, hollow)


def _drawn_rows(x: Floats, y: Floats, x_axis: _Axis, columns: int) -> Ints:
    """The rows to draw: of each stretch in one pixel column its ends, extremes and a gap."""
    if len(x) <= 4 * columns:
        return np.arange(len(x))
    column = np.floor((x - x_axis.start) / (x_axis.end - x_axis.start) * columns)
    starts = np.flatnonzero(np.r_[True, column[1:] != column[:-1]])
    if len(starts) > len(x) // 2:  # Hardly anything to leave out.
        return np.arange(len(x))
    finite = np.isfinite(y)
    least = _first_at(np.where(finite, y, np.inf), starts, np.minimum)
    greatest = _first_at(np.where(finite, y, -np.inf), starts, np.maximum)
    gap = _first_at(finite.astype(np.float64), starts, np.minimum)
    ends = np.r_[starts[1:] - 1, len(x) - 1]
    return np.unique(np.concatenate([starts, ends, least, greatest, gap]))


def _first_at(values: Floats, starts: Ints, extreme: Any) -> Ints:
    """For each stretch the first row that has its extreme value."""
    best = np.repeat(extreme.reduceat(values, starts), np.diff(np.r_[starts, len(values)]))
    rows = np.flatnonzero(values == best)
    return np.asarray(rows[np.searchsorted(rows, starts)])


def _pieces(shown: NDArray[np.bool_], x: Floats) -> Iterator[slice]:
    """The stretches that are shown and in which x does not go back."""
    n = len(shown)
    if not n:
        return
    back = np.r_[False, x[1:] < x[:-1]]
    cuts = np.flatnonzero(np.r_[True, shown[1:] != shown[:-1]] | back)
    for start, end in pairwise([*cuts.tolist(), n]):
        if shown[start]:
            yield slice(start, end)


# --- around the curves --------------------------------------------------------------------------


def _titles(chart: Chart) -> Iterator[Shape]:
    y = 24
    if chart.title:
        most = int((chart.width - 32) / (14 * _EM))
        yield Label((16, y), _cut(chart.title, most), 14, bold=True)
        y += 18
    notes = _notes(chart)
    if notes:
        yield Label((16, y), _cut(notes, int((chart.width - 32) / (11 * _EM))), 11, colour="faint")


def _notes(chart: Chart) -> str:
    of_lines = [line.counts or ValueCounts.of(line.logged) for line in chart.lines]
    counts = {
        "NaN ▿": sum(of_line.nan for of_line in of_lines),
        "infinite ▲▼": sum(of_line.infinite for of_line in of_lines),
    }
    if chart.log_y:
        counts["not above 0 and left out"] = sum(of_line.not_above_0 for of_line in of_lines)
    parts = [f"{n:,} {'value' if n == 1 else 'values'} {kind}" for kind, n in counts.items() if n]
    return ", ".join(filter(None, (chart.more, *parts)))


def _y_axis(axis: _Axis, ticks: Sequence[Tick], left: float, right: float) -> Iterator[Shape]:
    places = axis.pixels(np.array([tick.at for tick in ticks]))
    for tick, y in zip(ticks, places.tolist(), strict=True):
        yield Stroke([(left, y), (right, y)], "rule", 1)
        yield Label((left - 8, y + 4), tick.text, 11, "end", "faint")


def _x_axis(chart: Chart, axis: _Axis, bottom: float) -> Iterator[Shape]:
    most = max(2, int((axis.end - axis.start) // 80))
    ticks: Sequence[Tick]
    if chart.log_x:
        ticks = log_ticks(axis.low, axis.high, most)
    elif chart.x_kind == "time":
        ticks = time_ticks(axis.low, axis.high, most)
    else:
        ticks = linear_ticks(axis.low, axis.high, most, whole=chart.x_kind == "whole")
    yield Stroke([(axis.start, bottom), (axis.end, bottom)], "faint", 1)
    places = axis.pixels(np.array([tick.at for tick in ticks]))
    for tick, x in zip(ticks, places.tolist(), strict=True):
        yield Stroke([(x, bottom), (x, bottom + 4)], "faint", 1)
        yield Label((x, bottom + 17), tick.text, 11, "middle", "faint")
    yield Label((axis.end, bottom + 31), chart.x_label, 11, "end", "faint")


# --- legend -------------------------------------------------------------------------------------

_Entry = tuple[Line | None, str]


def _legend_rows(chart: Chart) -> list[list[_Entry]]:
    """The entries of the legend, row by row; a single line is named by the title alone."""
    if len(chart.lines) < 2 and all(line.name in ("", chart.title) for line in chart.lines):
        return []
    entries: list[_Entry] = [
        (line, _cut(line.name, _NAME_MAX_CHARS)) for line in chart.lines[:LEGEND_MAX]
    ]
    if len(chart.lines) > LEGEND_MAX:
        entries.append((None, f"and {len(chart.lines) - LEGEND_MAX:,} more"))
    rows: list[list[_Entry]] = [[]]
    used = 0.0
    for entry in entries:
        need = _SWATCH + _width(entry[1], 12) + 18
        if rows[-1] and used + need > chart.width - 60:
            rows.append([])
            used = 0.0
        rows[-1].append(entry)
        used += need
    return rows


def _legend(rows: Sequence[Sequence[_Entry]], left: float, top: float) -> Iterator[Shape]:
    for number, row in enumerate(rows):
        x, y = left, top + number * _LEGEND_ROW
        for line, name in row:
            if line is not None:
                dash = DASHES[line.dash % len(DASHES)]
                yield Stroke([(x, y - 4), (x + 16, y - 4)], line.colour, 2.5, dash)
            yield Label((x + _SWATCH, y), name, 12)
            x += _SWATCH + _width(name, 12) + 18


def _cut(text: str, most: int) -> str:
    """The text as it is shown, its middle left out if it is long."""
    shown = visible(text)
    if len(shown) <= most:
        return shown
    tail = max(1, most // 3)
    return f"{shown[: most - tail - 1]}…{shown[-tail:]}"


def _width(text: str, size: float) -> float:
    """About how many pixels a text takes; characters of East Asian scripts take twice as much."""
    return sum(size * (_EM if ord(character) < 0x1100 else 1.05) for character in text)
