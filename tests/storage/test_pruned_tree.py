"""A pruned tree gives the same root and audit paths as the whole tree."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.storage.merkle import EMPTY_ROOT, Frontier, node_hash
from runlore.storage.pruned_tree import Node, audit_path, pruned, root_of


def leaves_of(size: int) -> list[bytes]:
    return [sha256(number.to_bytes(4)).digest() for number in range(size)]


def path_of(leaves: list[bytes], index: int) -> list[bytes]:
    """RFC 6962, section 2.1.1, to the letter."""
    if len(leaves) == 1:
        return []
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < k:
        return [*path_of(leaves[:k], index), Frontier().extended(leaves[k:]).root]
    return [*path_of(leaves[k:], index - k), Frontier().extended(leaves[:k]).root]


def known_of(leaves: list[bytes], wanted: set[int]) -> list[Node]:
    nodes = pruned(
        len(leaves),
        sorted(wanted),
        lambda start, stop: Frontier().extended(leaves[start:stop]).root,
    )
    return sorted([*nodes, *(Node(index, index + 1, leaves[index]) for index in wanted)])


@given(st.integers(0, 70), st.data())
def test_root_and_audit_paths_are_those_of_the_whole_tree(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    wanted = data.draw(st.sets(st.integers(0, size - 1))) if size else set()
    known = known_of(leaves, wanted)

    assert root_of(size, known) == Frontier().extended(leaves).root
    for index in wanted:
        assert audit_path(index, size, known) == path_of(leaves, index)
    assert len(known) - len(wanted) <= max(1, len(wanted)) * max(1, size.bit_length())


def test_an_empty_tree_has_the_root_of_nothing() -> None:
    assert root_of(0, pruned(0, [], lambda start, stop: b"")) == EMPTY_ROOT


@given(st.integers(1, 40), st.data())
def test_where_a_node_is_missing_twice_or_elsewhere_there_is_no_root(
    size: int, data: st.DataObject
) -> None:
    leaves = leaves_of(size)
    known = known_of(leaves, data.draw(st.sets(st.integers(0, size - 1), min_size=1)))
    place = data.draw(st.integers(0, len(known) - 1))
    node = known[place]

    for others in (
        [],
        [node, node],
        [node._replace(start=node.start + 1)],
        [node._replace(stop=99)],
    ):
        with pytest.raises(ValueError, match="is missing"):
            root_of(size, [*known[:place], *others, *known[place + 1 :]])


def test_leaves_cannot_be_passed_off_as_others_by_an_uneven_tree() -> None:
    first, second, third = leaves_of(3)
    uneven = [Node(0, 1, first), Node(1, 3, node_hash(second, third))]

    with pytest.raises(ValueError, match="is missing"):
        root_of(3, uneven)
