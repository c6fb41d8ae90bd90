"""The places on an axis that bear a number, and how the number is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

_SECONDS: Final = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800),
)
_DAY: Final = 86_400


class Tick(NamedTuple):
    """A place on an axis and its text."""

    at: float
    text: str


def linear_ticks(low: float, high: float, most: int, *, whole: bool = False) -> Sequence[Tick]:
    """At most about `most` round numbers from `low` to `high`; only whole ones if asked for.

    >>> [tick.text for tick in linear_ticks(0, 1, 6)]
    ['0', '0.2', '0.4', '0.6', '0.8', '1.0']
    >>> [tick.text for tick in linear_ticks(0, 4.5e7, 4)]
    ['0', '2e7', '4e7']
    """
    step = _step(low, high, most)
    if whole:
        step = max(1.0, math.ceil(step))
    if not (math.isfinite(step) and step > 0):
        return _ends(low, high)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if last - first > 4 * most or max(abs(first), abs(last)) > 2**52:  # Too near to be told apart.
        return _ends(low, high)
    room = (high / 2 - low / 2) * 1e-6
    ticks = [Tick(n * step, _number(n * step, step)) for n in range(first, last + 1)]
    return [tick for tick in ticks if low - room <= tick.at <= high + room] or _ends(low, high)


def log_ticks(low: float, high: float, most: int) -> Sequence[Tick]:
    """Powers of ten from `low` to `high`, both above 0; with 2 and 5 between few of them.

    >>> [tick.text for tick in log_ticks(0.001, 10, 6)]
    ['0.001', '0.01', '0.1', '1', '10']
    >>> [tick.text for tick in log_ticks(0.2, 3, 6)]
    ['0.2', '0.5', '1', '2']
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    stride = max(1, math.ceil((last - first + 1) / max(2, most)))
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    ticks = [
        Tick(factor * 10.0**power, _power(factor, power))
        for power in range(first - first % stride, last + 1, stride)
        if -324 < power < 309
        for factor in factors
    ]
    shown = [tick for tick in ticks if low * (1 - 1e-9) <= tick.at <= high * (1 + 1e-9)]
    return shown if len(shown) > 1 else _ends(low, high)


def time_ticks(low: float, high: float, most: int) -> Sequence[Tick]:
    """Round moments between two times in seconds since 1970, in UTC; days have their date.

    >>> [tick.text for tick in time_ticks(1_772_539_200, 1_772_542_800, 4)]
    ['12:00', '12:15', '12:30', '12:45', '13:00']
    """
    span = high - low
    if not math.isfinite(span):
        return _ends(low, high)
    step = next((step for step in _SECONDS if span / step <= most), None)
    if step is None:
        step = _DAY * max(1, math.ceil(span / _DAY / most))
    first, last = math.ceil(low / step), math.floor(high / step)
    pattern = "%m-%d" if step >= _DAY else "%H:%M" if step >= 60 else "%H:%M:%S"
    if step < _DAY < span:
        pattern = "%m-%d %H:%M"
    return [Tick(n * step, _moment(n * step, pattern)) for n in range(first, last + 1)]


def _step(low: float, high: float, most: int) -> float:
    """The least of 1, 2 and 5 times a power of ten that gives no more than `most` steps."""
    raw = high / most - low / most  # The difference itself may be infinite.
    if not raw > 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(raw))
    if not power:
        return 0.0
    return next((n * power for n in (1, 2, 5) if n * power >= raw * (1 - 1e-9)), 10 * power)


def _ends(low: float, high: float) -> Sequence[Tick]:
    ends = dict.fromkeys((low, high))
    return [Tick(end, _shortest(f"{end:.4g}")) for end in ends]


def _number(value: float, step: float) -> str:
    if value == 0:
        return "0"
    digits = max(0, math.floor(math.log10(abs(value)) + 1e-9) - math.floor(math.log10(step) + 1e-9))
    if abs(value) >= 1e6 or step < 9e-5:
        return _shortest(f"{value:.{digits}e}")
    return _shortest(f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}")


def _power(factor: int, power: int) -> str:
    return f"{factor * 10.0**power:.{max(0, -power)}f}" if -4 <= power <= 5 else f"{factor}e{power}"


def _shortest(text: str) -> str:
    """Without what `e` and Python add: `1.50e+07` is `1.5e7`."""
    number, exponent, power = text.partition("e")
    if exponent:
        if "." in number:
            number = number.rstrip("0").rstrip(".")
        return f"{number}e{int(power)}"
    return number


def _moment(seconds: float, pattern: str) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(pattern)
    except (OSError, OverflowError, ValueError):  # Beyond the years that Python has.
        return f"{seconds:.4g} s"
