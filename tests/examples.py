"""How many examples a property test gets that takes long."""

from __future__ import annotations

from typing import Final

from hypothesis import settings

_FACTORS: Final = {"short": 1 / 3, "explore": 25}
"""For the profiles of tests/conftest.py."""


def few(usual: int) -> int:
    """So many in `make test-long`, a third in `make test`, many times as many in `make explore`."""
    return max(2, round(usual * _FACTORS.get(settings.get_current_profile_name(), 1)))
