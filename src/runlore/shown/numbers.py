"""Numbers, durations and times as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

_EXACT_INT_BELOW: Final = 10_000_000
_DIGITS: Final = 4


def short_number(value: object) -> str:
    """A number with 4 significant digits; whole ones below ten million have all of theirs.

    >>> [short_number(number) for number in (0.123456, 12345678, 1234567, float("nan"), 1e-9)]
    ['0.1235', '1.235e+07', '1234567', 'NaN', '1e-09']
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        if abs(value) < _EXACT_INT_BELOW:
            return str(value)
        if value.bit_length() > 1000:
            return f"about 2^{value.bit_length() - 1}" if value > 0 else "a large negative number"
    if not math.isfinite(value):
        return "NaN" if value != value else "∞" if value > 0 else "-∞"
    return f"{value:.{_DIGITS}g}"


def duration_text(seconds: float | None) -> str:
    """A duration in its two largest units; empty if there is none.

    >>> [duration_text(seconds) for seconds in (0.25, 42, 200, 3840, 200_000)]
    ['0.2 s', '42 s', '3 m 20 s', '1 h 04 m', '2 d 07 h']
    """
    if seconds is None or not math.isfinite(seconds):
        return ""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    whole = int(seconds)
    for unit, length, smaller, part in (
        ("d", 86_400, "h", 3_600),
        ("h", 3_600, "m", 60),
        ("m", 60, "s", 1),
    ):
        if whole >= length:
            return f"{whole // length} {unit} {whole % length // part:02} {smaller}"
    return f"{whole} s"


def moment_text(microseconds: int | None) -> str:
    """A time in µs since 1970 to the second, in UTC; empty if there is none.

    >>> moment_text(1_772_539_200_000_000)
    '2026-03-03 12:00:00 UTC'
    """
    if microseconds is None:
        return ""
    moment = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
