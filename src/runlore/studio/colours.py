"""The colour of a run as pages have it: one number for its colour and dash."""

from __future__ import annotations

from runlore.domain.run_marks import chosen_look
from runlore.shown.colours import LIGHT, look_of


def colour_of(number: int, experiment_id: str, chosen: str | None) -> int:
    """The colour's place in the palette, plus 8 times that of the dash; see `look_of`.

    `chosen` is the value of the tag `COLOUR`.
    """
    colour, dash = look_of(number, experiment_id, chosen_look(chosen))
    return colour + len(LIGHT.lines) * dash
