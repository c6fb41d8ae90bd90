"""A series in a few characters, or in a picture as small as a word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from runlore.shown.elements import Html

_BARS: Final = "▁▂▃▄▅▆▇█"
_ASCII_BARS: Final = "_.-=^"
_GAP: Final = "·"
_WIDTH: Final = 120
_HEIGHT: Final = 16
_MARGIN: Final = 2


def spark_text(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """A series as one character per stretch of it, from the least to the greatest value.

    The last value of each stretch counts; one that is not finite is a gap.

    >>> spark_text([1.0, 0.5, float("nan"), 0.25], 8)
    '█▃·▁'
    """
    if not values or width < 1:
        return ""
    bars, gap = (_ASCII_BARS, "?") if ascii_only else (_BARS, _GAP)
    n = min(width, len(values))
    chosen = [values[(place + 1) * len(values) // n - 1] for place in range(n)]
    least, greatest = _range(chosen)
    return "".join(
        bars[round(_share(value, least, greatest) * (len(bars) - 1))]
        if math.isfinite(value)
        else gap
        for value in chosen
    )


def spark_picture(values: Sequence[float]) -> Html:
    """A series as a small SVG: a line, interrupted where values are not finite; a dot for a point.

    Meant for at most a few hundred values.
    """
    least, greatest = _range(values)
    step = (_WIDTH - 2 * _MARGIN) / max(1, len(values) - 1)
    runs: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if math.isfinite(value):
            x = _MARGIN + place * step
            y = _HEIGHT - _MARGIN - _share(value, least, greatest) * (_HEIGHT - 2 * _MARGIN)
            runs[-1].append(f"{x:.1f},{y:.1f}")
        elif runs[-1]:
            runs.append([])
    marks = "".join(_mark(run) for run in runs if run)
    if not marks:
        return Html("")
    return Html(
        f'<svg class="rl-spark" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" aria-hidden="true">{marks}</svg>'
    )


def _mark(points: list[str]) -> str:
    if len(points) == 1:
        x, _, y = points[0].partition(",")
        return f'<circle class="rl-fill3" cx="{x}" cy="{y}" r="2"/>'
    return (
        f'<polyline class="rl-line3" fill="none" stroke-width="1.5" points="{" ".join(points)}"/>'
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    return min(finite, default=0.0), max(finite, default=0.0)


def _share(value: float, least: float, greatest: float) -> float:
    """Where the value lies between the two, from 0 to 1; in the middle if they are equal."""
    if greatest <= least:
        return 0.5
    half = greatest / 2 - least / 2  # The difference itself may be infinite.
    return min(1.0, max(0.0, (value / 2 - least / 2) / half)) if half else 0.5
