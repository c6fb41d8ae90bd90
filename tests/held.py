"""Paths of tests as held ones."""

from __future__ import annotations

from pathlib import Path

from runlore.storage.held_path import HeldPath, hold


def below(path: Path) -> HeldPath:
    """A path below its folder, which must exist; the path itself need not."""
    return hold(path.parent) / path.name
