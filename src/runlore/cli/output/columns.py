"""The columns of a table for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Columns = Sequence[tuple[str, Callable[[Any], object]]]
"""The heading of each column, and a function that takes a row and gives the cell."""
