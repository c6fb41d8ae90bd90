"""Marks that people give to runs: tags of certain names, so that all see them, and by whom."""

from __future__ import annotations

from typing import Final

STAR: Final = "runlore.star"
"""The tag of a run that somebody wants to find again. Its value says nothing."""

COLOUR: Final = "runlore.colour"
"""The tag with the colour that somebody chose for a run's curves; see `chosen_look`."""

LOOKS: Final = 32
"""How many colours with dashes there are."""


def chosen_look(value: str | None) -> int | None:
    """The place of the look that a colour tag names, from 0 on; None if it names none.

    >>> chosen_look("9"), chosen_look("32"), chosen_look("red"), chosen_look(None)
    (9, None, None, None)
    """
    if value is None or not (value.isascii() and value.isdigit() and len(value) <= 2):
        return None
    return int(value) if int(value) < LOOKS else None
