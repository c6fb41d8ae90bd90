"""`ScriptRun`: a run of a submitted script. Here for imports and `isinstance`."""

from __future__ import annotations

from runlore.run import Run


class ScriptRun(Run):
    """A run whose script a launcher executes; this version records interactive runs only."""
