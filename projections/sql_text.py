"""Texts inside statements that take no parameters."""

from __future__ import annotations

from pathlib import Path


def quoted(path: Path) -> str:
    """The absolute path as a literal.

    >>> quoted(Path("/lab/the team's/a.parquet"))
    "'/lab/the team''s/a.parquet'"
    """
    return "'" + str(path.absolute()).replace("'", "''") + "'"
