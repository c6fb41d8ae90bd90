"""The names of metrics that runlore samples by itself: they are shown apart from logged ones."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "system/"


def is_sampled(metric: str) -> bool:
    """Whether a metric of this name is one that runlore samples."""
    return metric.startswith(PREFIX)
