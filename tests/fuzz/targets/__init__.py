"""The targets, one a module."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from tests.fuzz.target import Target

NAMES: Final = (
    "mapper",
    "spool",
    "bundle",
    "runconfig",
    "moments",
    "config",
    "proof",
    "query",
    "filters",
    "shown",
    "sql",
)


def target_named(name: str) -> Target:
    """The target of a name. Raises LookupError if there is none."""
    if name not in NAMES:
        raise LookupError(f"there is no target {name!r}; there are {', '.join(NAMES)}")
    target: Target = import_module(f"{__name__}.{name}").TARGET
    return target
