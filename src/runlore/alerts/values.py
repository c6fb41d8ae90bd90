"""What batches of logged values hold that somebody watches for. Imports numpy."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runlore.storage.errors import LogCorrupt
from runlore.storage.value_reader import Block, read_batch


class Found(NamedTuple):
    """A value of a batch; `metric` is followed by the column's name if it has columns."""

    metric: str
    value: object
    step: int

    @property
    def shown(self) -> str:
        """The value, a number with 6 significant digits."""
        return f"{self.value:.6g}" if isinstance(self.value, float) else f"{self.value}"


def first_not_finite(data: Mapping[str, Any]) -> Iterator[Found]:
    """For each series of a batch with NaN or infinities, the first of them."""
    for block in _blocks(data, None):
        for metric, column in _columns(block):
            bad = _not_finite(column)
            if bad.size:
                place = int(bad[0])
                yield Found(metric, float(column[place]), int(block.steps[place]))


def newest(data: Mapping[str, Any], metrics: Collection[str]) -> Iterator[Found]:
    """The last value of each of some metrics that the batch holds."""
    for described in data["series"]:
        if described.get("name") in metrics:
            for block in _blocks(data, described["name"]):
                for metric, column in _columns(block):
                    if len(column):
                        value = column[-1]
                        plain = value.item() if isinstance(value, np.generic) else value
                        yield Found(metric, plain, int(block.steps[-1]))


def _blocks(data: Mapping[str, Any], name: str | None) -> list[Block]:
    try:
        return read_batch(dict(data), name=name)
    except LogCorrupt:  # `audit verify` tells of it; here nothing can be found in it.
        return []


def _columns(block: Block) -> Iterator[tuple[str, NDArray[Any]]]:
    names = block.series.columns
    for place, column in enumerate(block.columns):
        yield f"{block.series.name}.{names[place]}" if names else block.series.name, column


def _not_finite(column: NDArray[Any]) -> NDArray[np.intp]:
    if column.dtype == object:
        bad = [isinstance(value, float) and not math.isfinite(value) for value in column]
        return np.flatnonzero(bad)
    return np.flatnonzero(~np.isfinite(column))
