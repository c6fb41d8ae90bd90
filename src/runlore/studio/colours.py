"""The colour of a run as pages have it: one number for its colour and dash."""

from __future__ import annotations

from runlore.shown.colours import LIGHT, look_of


def colour_of(number: int, experiment_id: str) -> int:
    """The colour's place in the palette, plus 8 times that of the dash; see `look_of`."""
    colour, dash = look_of(number, experiment_id)
    return colour + len(LIGHT.lines) * dash
