"""Inclusion and consistency proofs (RFC 6962, sections 2.1.1 and 2.1.2) from leaves in their order.

A proof consists of the roots of ranges of leaves. The sizes alone determine these ranges, so one
pass over the leaves makes a proof, with memory for its few nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from runlore.storage.merkle import Frontier

Range = tuple[int, int]
"""The leaves from the first index to before the second."""


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The ranges whose roots prove the leaf of `index` in a tree of `size`, in a proof's order."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf of index {index}")
    ranges: list[Range] = []
    first, end = 0, size
    while end - first > 1:
        split = first + _split(end - first)
        if index < split:
            ranges.append((split, end))
            end = split
        else:
            ranges.append((first, split))
            first = split
    return ranges[::-1]


def consistency_ranges(size: int, later_size: int) -> list[Range]:
    """The ranges whose roots prove that the tree of `later_size` begins with that of `size`."""
    if not 0 <= size <= later_size:
        raise ValueError(f"a tree of {later_size} leaves cannot begin with a tree of {size}")
    if size in (0, later_size):
        return []
    ranges: list[Range] = []
    first, end = 0, later_size
    whole = True  # The earlier tree is a subtree so far, whose root the verifier knows.
    while end != size:
        split = first + _split(end - first)
        if size <= split:
            ranges.append((split, end))
            end = split
        else:
            ranges.append((first, split))
            first = split
            whole = False
    if not whole:
        ranges.append((first, end))
    return ranges[::-1]


def roots_of(ranges: Iterable[Range], leaves: Iterable[bytes]) -> list[bytes]:
    """The root of each range; the ranges do not overlap. The leaves are read once."""
    wanted = list(ranges)
    roots: dict[Range, bytes] = {}
    rest: Iterator[bytes] = iter(leaves)
    at = 0
    for first, end in sorted(wanted):
        for _ in islice(rest, first - at):
            pass
        tree = Frontier().extended(islice(rest, end - first))
        if tree.size != end - first:
            raise ValueError(f"the leaves end before index {end - 1}")
        roots[first, end] = tree.root
        at = end
    return [roots[bounds] for bounds in wanted]


def _split(size: int) -> int:
    """The largest power of two below the size."""
    return 1 << ((size - 1).bit_length() - 1)
