"""How many examples a property test gets that takes long."""

from __future__ import annotations

from typing import Final

from hypothesis import settings

_EXPLORED: Final = 25


def few(usual: int) -> int:
    """So many in `make test`, and many times as many in `make explore`."""
    return usual * _EXPLORED if settings.get_current_profile_name() == "explore" else usual
