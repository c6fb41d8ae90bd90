"""Settings of the whole suite."""

from __future__ import annotations

from hypothesis import settings

# Examples have no time limit of their own: the machine may be busy, and a disk may be slow.
settings.register_profile("runlore", deadline=None)
settings.load_profile("runlore")
