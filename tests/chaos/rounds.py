"""How long the chaos lasts: a short form by default, any number of rounds for a soak."""

from __future__ import annotations

import os
from typing import Final

_WANTED: Final = int(os.environ.get("RUNLORE_CHAOS_ROUNDS", "0"))

KILLS: Final = max(20, _WANTED)
"""Processes killed at each fault point, and at random moments."""

RACES: Final = max(300, _WANTED)
"""Properties that processes race for."""

FORKS: Final = max(10, _WANTED)
"""Forks beside working threads, and trainers killed while their workers live on."""

SUBMITTED: Final = max(3, _WANTED)
"""Submitted runs of which each kind of process is killed."""

LEAVES: Final = max(20, _WANTED)
"""Runs that several processes leave at once."""

STORIES: Final = max(15, _WANTED)
"""Runs whose processes join, leave, are stopped and killed in any order."""
