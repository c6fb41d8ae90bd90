"""Waiting for other processes, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LIMIT_S: Final = 60.0
"""How long a test waits for another process before it fails: far longer than needed."""

_LOOK_INTERVAL_S: Final = 0.005


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    """Return as soon as the condition holds; fail after the limit."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s:g} s for {what}"
        time.sleep(_LOOK_INTERVAL_S)
