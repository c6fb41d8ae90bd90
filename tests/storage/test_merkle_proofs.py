"""Proofs against an independent implementation of RFC 6962's trees, `pymerkle`."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from runlore.audit.offline import NotProved, check_consistency, check_inclusion
from runlore.storage.merkle import Frontier
from runlore.storage.merkle_proofs import consistency_ranges, inclusion_ranges, roots_of
from tests.examples import few

ENTRIES = [bytes([n]) for n in range(65)]


def leaves_of(entries: list[bytes]) -> list[bytes]:
    return [sha256(b"\x00" + entry).digest() for entry in entries]


def theirs(entries: list[bytes]) -> Any:
    tree = InmemoryTree(algorithm="sha256")
    for entry in entries:
        tree.append_entry(entry)
    return tree


LEAVES = leaves_of(ENTRIES)
TREE = theirs(ENTRIES)
ROOTS = [Frontier().extended(LEAVES[:size]).root for size in range(65)]


@pytest.mark.parametrize("size", range(65))
def test_roots_and_inclusion_proofs_of_every_small_tree_are_theirs(size: int) -> None:
    assert TREE.get_root(size) == ROOTS[size]
    for index in range(size):
        path = roots_of(inclusion_ranges(index, size), LEAVES)
        assert path == TREE.prove_inclusion(index + 1, size).path[1:]
        check_inclusion(index, size, LEAVES[index], path, TREE.get_root(size))


@pytest.mark.parametrize("later", range(65))
def test_every_small_tree_is_consistent_with_those_before_it(later: int) -> None:
    for size in range(later + 1):
        path = roots_of(consistency_ranges(size, later), LEAVES)
        check_consistency(size, TREE.get_root(size), later, TREE.get_root(later), path)


@settings(max_examples=few(50))
@given(st.lists(st.binary(max_size=8), min_size=1, max_size=200), st.data())
def test_random_trees_are_theirs(entries: list[bytes], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(entries)))
    index = data.draw(st.integers(0, size - 1))
    leaves, tree = leaves_of(entries), theirs(entries)

    path = roots_of(inclusion_ranges(index, size), leaves)

    assert path == tree.prove_inclusion(index + 1, size).path[1:]
    check_inclusion(index, size, leaves[index], path, tree.get_root(size))
    grown = roots_of(consistency_ranges(size, len(leaves)), leaves)
    check_consistency(size, tree.get_root(size), len(leaves), tree.get_root(len(leaves)), grown)


@given(st.integers(1, 64), st.data())
def test_a_proof_with_anything_changed_proves_nothing(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = roots_of(inclusion_ranges(index, size), LEAVES)
    root, leaf, other = ROOTS[size], LEAVES[index], b"\x07" * 32
    changed = data.draw(st.sampled_from(("leaf", "root", "index", "size", "more", "less", "node")))
    arguments: list[Any] = [index, size, leaf, path, root]
    match changed:
        case "leaf":
            arguments[2] = other
        case "root":
            arguments[4] = other
        case "index":
            arguments[0] = index + data.draw(st.sampled_from((-1, 1, 64)))
        case "size":
            arguments[1] = size + 64
        case "more":
            arguments[3] = [*path, other]
        case _ if not path:
            arguments[3] = [other]
        case "less":
            arguments[3] = path[:-1]
        case "node":
            at = data.draw(st.integers(0, len(path) - 1))
            arguments[3] = [*path[:at], other, *path[at + 1 :]]

    with pytest.raises(NotProved):
        check_inclusion(*arguments)


@given(st.integers(1, 64), st.data())
def test_a_tree_that_was_rewritten_is_consistent_with_nothing(
    later: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, later))
    at = data.draw(st.integers(0, size - 1))
    rewritten = [*LEAVES[:at], b"\x07" * 32, *LEAVES[at + 1 :]]
    root = Frontier().extended(rewritten[:later]).root
    path = roots_of(consistency_ranges(size, later), rewritten)

    with pytest.raises(NotProved):
        check_consistency(size, ROOTS[size], later, root, path)
    with pytest.raises(NotProved):
        check_consistency(size, ROOTS[size], later, ROOTS[later], [*path, b"\x07" * 32])


def test_ranges_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="has no leaf of index 3"):
        inclusion_ranges(3, 3)
    with pytest.raises(ValueError, match="cannot begin with"):
        consistency_ranges(4, 3)
    with pytest.raises(ValueError, match="end before index 4"):
        roots_of([(0, 5)], LEAVES[:4])
