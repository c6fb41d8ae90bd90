"""What a graph of imports shows: its circles, and the arrows that run up in an order of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import permutations

Arrows = Mapping[str, Set[str]]

_TRY_EVERY_ORDER_UP_TO = 7  # nodes: 5,040 orders


def circles(arrows: Arrows) -> list[list[str]]:
    """The strongly connected components with more than one member, the largest first."""
    reached = {node: _reachable(arrows, node) for node in arrows}
    found = {
        tuple(sorted(other for other in nodes if node in reached[other]))
        for node, nodes in reached.items()
        if node in nodes
    }
    return [list(circle) for circle in sorted(found, key=lambda circle: (-len(circle), circle))]


def best_order(nodes: Iterable[str], arrows: Arrows) -> list[str]:
    """The nodes, importers first, so that as few arrows as possible run up.

    The best of all orders for a circle of a few nodes; for larger ones no single node can be moved
    to a better place.
    """
    nodes = sorted(nodes)
    inside = {node: arrows[node] & set(nodes) for node in nodes}
    ordered: list[str] = []
    for group in _importers_first(nodes, inside):
        ordered += _best_within(group, inside)
    return ordered


def running_up(order: Sequence[str], arrows: Arrows) -> list[tuple[str, str]]:
    """The arrows that lead from a node to one that stands before it in the order."""
    rank = {node: index for index, node in enumerate(order)}
    return [
        (importer, imported)
        for importer in order
        for imported in sorted(arrows[importer])
        if rank.get(imported, rank[importer]) < rank[importer]
    ]


def _reachable(arrows: Arrows, start: str) -> set[str]:
    reached: set[str] = set()
    pending = [start]
    while pending:
        for node in arrows[pending.pop()] - reached:
            reached.add(node)
            pending.append(node)
    return reached


def _importers_first(nodes: Sequence[str], arrows: Arrows) -> list[list[str]]:
    """Groups of nodes, each a circle or a single node, in topological order."""
    reached = {node: _reachable(arrows, node) for node in nodes}
    groups = {
        tuple(other for other in nodes if other == node or _mutual(reached, node, other))
        for node in nodes
    }
    return [list(group) for group in sorted(groups, key=lambda group: _depth(group, reached))]


def _mutual(reached: Mapping[str, set[str]], one: str, other: str) -> bool:
    return other in reached[one] and one in reached[other]


def _depth(group: tuple[str, ...], reached: Mapping[str, set[str]]) -> tuple[int, tuple[str, ...]]:
    """Whoever reaches more stands before; nodes of equal reach are in no circle with each other."""
    return -len(reached[group[0]] | set(group)), group


def _best_within(circle: list[str], arrows: Arrows) -> list[str]:
    if len(circle) <= _TRY_EVERY_ORDER_UP_TO:
        orders = map(list, permutations(circle))
        return min(orders, key=lambda order: len(running_up(order, arrows)))
    order = sorted(circle, key=lambda node: (-len(arrows[node]), node))
    while True:
        better = _one_node_moved(order, arrows)
        if better is None:
            return order
        order = better


def _one_node_moved(order: list[str], arrows: Arrows) -> list[str] | None:
    fewest = len(running_up(order, arrows))
    for node in order:
        rest = [other for other in order if other != node]
        for place in range(len(order)):
            moved = [*rest[:place], node, *rest[place:]]
            if len(running_up(moved, arrows)) < fewest:
                return moved
    return None
