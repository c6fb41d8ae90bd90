"""The part of a log's Merkle tree that ties some of its leaves to its root.

A tree is pruned to its wanted leaves: of every subtree without a wanted leaf, only the topmost
node is kept. The root and the RFC 6962 audit path of each wanted leaf follow from the wanted leaves
and these nodes. As paths share most of their nodes, this is far less data than all the paths.

A node is named by the leaves below it, [start, stop), counted from 0.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from runlore.storage.merkle import EMPTY_ROOT, node_hash


class Node(NamedTuple):
    """The hash of all leaves from `start` to before `stop`."""

    start: int
    stop: int
    digest: bytes


def pruned(size: int, wanted: Sequence[int], digest: Callable[[int, int], bytes]) -> list[Node]:
    """The nodes that lead from the wanted leaves of a tree of `size` leaves to its root, in order.

    `wanted` are the indexes of the leaves, ascending. `digest(start, stop)` gives the hash of these
    leaves: it is called from left to right, and never for a wanted leaf.
    """
    nodes: list[Node] = []

    def walk(start: int, stop: int, first: int, last: int) -> None:
        """Visit a subtree, whose wanted leaves are `wanted[first:last]`."""
        if first == last:
            nodes.append(Node(start, stop, digest(start, stop)))
        elif last - first < stop - start:
            middle = _middle(start, stop)
            place = bisect_left(wanted, middle, first, last)
            walk(start, middle, first, place)
            walk(middle, stop, place, last)

    if size:
        walk(0, size, 0, len(wanted))
    return nodes


def root_of(size: int, nodes: Iterable[Node]) -> bytes:
    """The root of a tree of `size` leaves, from its known leaves and nodes in order.

    Keeps one node per level in memory. Raises ValueError if a leaf is missing or covered twice.
    """
    open_: list[Node] = []
    for node in nodes:
        begins = open_[-1].stop if open_ else 0
        if node.start != begins or not _is_subtree(node, size):
            raise ValueError(f"leaf {min(node.start, begins)} is missing or covered twice")
        open_.append(node)
        while len(open_) > 1 and _nleaves(open_[-2]) == _nleaves(open_[-1]):
            _join(open_)
    if (open_[-1].stop if open_ else 0) != size:
        raise ValueError(f"leaf {open_[-1].stop if open_ else 0} is missing")
    while len(open_) > 1:
        _join(open_)
    return open_[0].digest if open_ else EMPTY_ROOT


def _join(open_: list[Node]) -> None:
    right, left = open_.pop(), open_.pop()
    open_.append(Node(left.start, right.stop, node_hash(left.digest, right.digest)))


def _nleaves(node: Node) -> int:
    return node.stop - node.start


def _is_subtree(node: Node, size: int) -> bool:
    """Whether RFC 6962 has such a node: a full one in its place, or the rest at the right edge."""
    nleaves = _nleaves(node)
    if nleaves < 1 or node.stop > size:
        return False
    filled = 1 << (nleaves - 1).bit_length()
    return node.start % filled == 0 and (filled == nleaves or node.stop == size)


def audit_path(index: int, size: int, nodes: Iterable[Node]) -> list[bytes]:
    """The RFC 6962 audit path of a leaf, from the leaf up, from the known nodes of a tree.

    Raises ValueError if it does not follow from them.
    """
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    known = {(node.start, node.stop): node.digest for node in nodes}
    path: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = _middle(start, stop)
        beside = (middle, stop) if index < middle else (start, middle)
        path.append(_digest(known, *beside))
        start, stop = (start, middle) if index < middle else (middle, stop)
    return path[::-1]


def _digest(known: Mapping[tuple[int, int], bytes], start: int, stop: int) -> bytes:
    digest = known.get((start, stop))
    if digest is not None:
        return digest
    if stop - start == 1:
        raise ValueError(f"leaf {start} is missing")
    middle = _middle(start, stop)
    return node_hash(_digest(known, start, middle), _digest(known, middle, stop))


def _middle(start: int, stop: int) -> int:
    """The split of RFC 6962: the left side has the largest possible power of two of leaves."""
    return start + (1 << ((stop - start - 1).bit_length() - 1))
