"""Work in portions of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def portions(sizes: Sequence[int], at_most: int) -> Iterator[slice]:
    """The items of these sizes in groups of neighbours, each of at most that size together.

    An item that is larger by itself is a group of its own.

    >>> [(group.start, group.stop) for group in portions([3, 4, 9, 2, 5], 7)]
    [(0, 2), (2, 3), (3, 5)]
    """
    start = total = 0
    for place, size in enumerate(sizes):
        if place > start and total + size > at_most:
            yield slice(start, place)
            start, total = place, 0
        total += size
    if start < len(sizes):
        yield slice(start, len(sizes))
