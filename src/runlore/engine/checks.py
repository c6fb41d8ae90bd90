"""Checks of plain arguments."""

from __future__ import annotations

from runlore.domain.errors import InvalidInput, InvalidType


def as_seconds(name: str, value: object) -> float:
    """A number of seconds to wait, 0 or more; `math.inf` waits without a limit."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidType(f"{name} must be a number of seconds, got {value!r:.80}")
    if not value >= 0:
        raise InvalidInput(f"{name} must be 0 seconds or more, got {value!r:.80}")
    return float(value)


def as_count(name: str, value: object) -> int:
    """A number of bytes or the like, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidType(f"{name} must be a whole number, got {value!r:.80}")
    if value < 0:
        raise InvalidInput(f"{name} must be 0 or more, got {value!r:.80}")
    return value
