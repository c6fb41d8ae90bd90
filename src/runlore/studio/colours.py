"""The colour of a run: a property of the run, the same on every page and at every time.

Neighbours in an experiment differ, and nothing depends on what else is shown.
"""

from __future__ import annotations

import zlib
from typing import Final

SLOTS: Final = 8
DASHES: Final = 4


def colour_of(number: int, experiment_id: str) -> int:
    """The slot of the palette, plus 8 times the number of the dash."""
    first = zlib.crc32(experiment_id.encode("utf-8", "replace"))
    return (number - 1 + first) % SLOTS + SLOTS * ((number - 1) // SLOTS % DASHES)
