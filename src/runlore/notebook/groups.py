"""Many curves as few: of each group the mean, and the range from the least to the greatest."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from typing import Any, Final

import numpy as np

from runlore.shown.chart import Floats, Line
from runlore.shown.colours import DASHES, LIGHT
from runlore.shown.numbers import short_number
from runlore.shown.reduction import ValueCounts

_GRID_MAX: Final = 1_000


def grouped(
    lines: Sequence[Line], values: Sequence[Any], field: str, limit: int
) -> tuple[list[Line], str]:
    """A line with a band per value of the field, in the order of the values, and what is left out.

    Where runs have no value at a step, the one before counts, from the run's first to its last.
    """
    members: dict[Hashable, list[Line]] = {}
    for line, value in zip(lines, values, strict=True):
        members.setdefault(value if isinstance(value, Hashable) else str(value), []).append(line)
    keys = sorted(members, key=_order)
    shown = [
        _mean(f"{field} = {_text(key)} ({len(members[key])})", members[key], place)
        for place, key in enumerate(keys[:limit])
    ]
    said = f"mean, least and greatest of {len(lines):,} runs by {field}"
    return shown, said if len(keys) <= limit else f"{said}, first {limit:,} of {len(keys):,} groups"


def _text(value: object) -> str:
    return "none" if value is None else short_number(value)


def _order(value: Any) -> tuple[int, float, str]:
    if isinstance(value, int | float) and value == value:
        return 0, value, ""
    return (2, 0.0, "") if value is None else (1, 0.0, str(value))


def _mean(name: str, lines: Sequence[Line], place: int) -> Line:
    grid = _grid(lines)
    stacked = np.stack([_held(line, grid) for line in lines])
    stacked = np.where(np.isfinite(stacked), stacked, np.nan)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # Where no run has a value, it is a gap.
        mean = np.nanmean(stacked, axis=0)
        low, high = np.nanmin(stacked, axis=0), np.nanmax(stacked, axis=0)
    look = place % len(LIGHT.lines), place // len(LIGHT.lines) % len(DASHES)
    counts = [line.counts or ValueCounts.of(line.logged) for line in lines]
    counted = ValueCounts(
        nan=sum(one.nan for one in counts),
        infinite=sum(one.infinite for one in counts),
        not_above_0=ValueCounts.of(mean).not_above_0,
    )
    return Line(name, grid, mean, *look, low, high, counts=counted)


def _grid(lines: Sequence[Line]) -> Floats:
    """All the places at which a line has a value, or equally distant ones if they are many."""
    places = np.unique(np.concatenate([line.x for line in lines]))
    if len(places) <= _GRID_MAX:
        return places
    return np.linspace(places[0], places[-1], _GRID_MAX)


def _held(line: Line, grid: Floats) -> Floats:
    """The line's last value at or before each place; NaN before its first and after its last."""
    order = np.argsort(line.x, kind="stable")  # Of the values at one step the last one counts.
    x, y = line.x[order], line.y[order]
    if not len(x):
        return np.full(len(grid), np.nan)
    places = np.searchsorted(x, grid, side="right") - 1
    held = np.where(places >= 0, y[np.maximum(places, 0)], np.nan)
    return np.asarray(np.where(grid <= x[-1], held, np.nan))
