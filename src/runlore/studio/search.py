"""The filter line and the experiment of a page, as one filter."""

from __future__ import annotations

from runlore.domain.filtering.expressions import Value
from runlore.domain.filtering.parser import parse_filter


def page_filter(where: str | None, experiment: str | None) -> str | None:
    """The filter of a page; None for all runs. Raises FilterError.

    >>> page_filter("status = failed or m.loss > 1", "vision")
    '(status = Failed or metrics.loss > 1) and experiment = vision'
    """
    parts = []
    if where and where.strip():
        parts.append(f"({parse_filter(where)})")  # In its canonical form no bracket is left open.
    if experiment is not None:
        parts.append(f"experiment = {Value.quoted_text(experiment)}")
    return " and ".join(parts) or None
