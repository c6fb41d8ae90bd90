"""Azure's types of runs."""

from __future__ import annotations

from typing import Final

SCRIPT_RUN: Final = "azureml.scriptrun"
"""The type of submitted runs."""
