"""`ScriptRun`: a run whose script a supervisor executes."""

from __future__ import annotations

from typing import Final

from runlore.run import Run

RUN_TYPE: Final = "azureml.scriptrun"
"""The type of submitted runs (azureml-core's)."""


class ScriptRun(Run):
    """A submitted run; what it can do, `Run` can: its events say that it was submitted."""
