"""Checks of plain arguments."""

from __future__ import annotations

from runlore.domain.errors import InvalidInput, InvalidType


def as_seconds(name: str, value: object) -> float:
    """A number of seconds to wait, 0 or more; `math.inf` waits without a limit."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidType(f"{name} is {value!r:.80}; it takes a number of seconds")
    if not value >= 0:
        raise InvalidInput(f"{name} is {value!r:.80}; it takes seconds, 0 or more")
    return float(value)
