"""Warnings that point at the line of the script, not into this package."""

from __future__ import annotations

import sys
import warnings

from runlore.domain.visible_text import visible_lines


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn as if from the nearest frame outside of runlore, however deep the call is.

    The message is safe to print, whatever text of a log it quotes.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("runlore."):
        frame, level = frame.f_back, level + 1
    warnings.warn(visible_lines(message), category, stacklevel=level)
