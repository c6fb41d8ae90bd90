"""The log's tree against RFC 6962, section 2.1, written down once more as the recursion it is."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.storage.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash


def tree_hash(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, over leaves that are hashed already."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = tree_hash(leaves[:split]), tree_hash(leaves[split:])
    return sha256(b"\x01" + left + right).digest()


LEAVES = [sha256(bytes([n])).digest() for n in range(65)]
digests = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize("size", range(65))
def test_the_root_of_every_small_tree(size: int) -> None:
    frontier = Frontier().extended(LEAVES[:size])
    assert frontier.root == tree_hash(LEAVES[:size])
    assert frontier.size == size
    assert len(frontier.nodes) == size.bit_count()


@given(st.lists(digests, max_size=300), st.data())
def test_leaves_can_be_added_in_any_portions(leaves: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(leaves)))
    portions = Frontier().extended(leaves[:cut]).extended([]).extended(leaves[cut:])
    assert portions == Frontier().extended(leaves)
    assert portions.root == tree_hash(leaves)


def test_known_answers_of_certificate_transparency() -> None:
    """Google's test vectors for RFC 6962 trees over raw leaf data."""
    data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    leaves = [sha256(b"\x00" + bytes.fromhex(text)).digest() for text in data]
    roots = [Frontier().extended(leaves[:size]).root.hex() for size in (1, 2, 3, 7)]
    assert roots == [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    ]


def test_the_empty_tree_hashes_nothing() -> None:
    assert Frontier().root == EMPTY_ROOT == sha256(b"").digest()


@given(st.lists(digests, max_size=70))
def test_a_frontier_comes_back_from_its_bytes(leaves: list[bytes]) -> None:
    frontier = Frontier().extended(leaves)
    assert Frontier.from_bytes(frontier.size, frontier.to_bytes()) == frontier


@pytest.mark.parametrize(("size", "nbytes"), [(0, 32), (1, 0), (3, 32), (4, 64), (1, 31)])
def test_bytes_that_do_not_fit_the_size_are_no_frontier(size: int, nbytes: int) -> None:
    with pytest.raises(ValueError, match=f"{nbytes} bytes cannot be the frontier of {size}"):
        Frontier.from_bytes(size, b"x" * nbytes)


# --- leaves -------------------------------------------------------------------------------

FIELDS = (7, "run/r", 3, "run.started", b"i" * 16, 1_000, b"\x80", b"\x81\xa1v\x01")
CHANGED = (8, "run/s", 4, "run.started ", b"j" * 16, 1_001, b"\x81", b"\x81\xa1v\x02")


def naive_leaf(*fields: int | str | bytes | None) -> bytes:
    packed = b"\x00"
    for field in fields:
        if field is None:
            packed += b"\xff\xff\xff\xff"
            continue
        if isinstance(field, int):
            field = field.to_bytes(8, "big", signed=True)
        elif isinstance(field, str):
            field = field.encode()
        packed += len(field).to_bytes(4, "big") + field
    return sha256(packed).digest()


def test_a_leaf_is_what_the_module_says() -> None:
    assert leaf_hash(*FIELDS) == naive_leaf(*FIELDS)
    # Written down, so that nobody changes it by changing both.
    assert (
        leaf_hash(*FIELDS).hex()
        == "2191bb76ffcde31b19e965c63723ad60b9a2b1cf40531a4ab53494e2d0a44fd5"
    )


int64s = st.integers(-(2**63), 2**63 - 1)


@given(
    int64s,
    st.text(st.characters(exclude_categories=["Cs"])),
    int64s,
    st.text(st.characters(exclude_categories=["Cs"])),
    st.none() | st.binary(),
    int64s,
    st.none() | st.binary(),
    st.binary(),
)
def test_leaves_cover_all_fields_with_their_lengths(
    position: int,
    stream: str,
    version: int,
    topic: str,
    event_id: bytes | None,
    recorded_at: int,
    metadata: bytes | None,
    state: bytes,
) -> None:
    fields = (position, stream, version, topic, event_id, recorded_at, metadata, state)
    assert leaf_hash(*fields) == naive_leaf(*fields)


@pytest.mark.parametrize("changed", range(len(FIELDS)))
def test_every_field_changes_the_leaf(changed: int) -> None:
    fields: Any = [*FIELDS[:changed], CHANGED[changed], *FIELDS[changed + 1 :]]
    assert leaf_hash(*fields) != leaf_hash(*FIELDS)


def test_bytes_cannot_move_from_one_field_to_the_next() -> None:
    one = leaf_hash(1, "ab", 1, "c", None, 0, None, b"")
    assert one != leaf_hash(1, "a", 1, "bc", None, 0, None, b"")
    assert leaf_hash(1, "a", 1, "b", None, 0, None, b"") != leaf_hash(
        1, "a", 1, "b", b"", 0, None, b""
    )


def test_a_node_can_be_no_leaf() -> None:
    assert node_hash(LEAVES[0], LEAVES[1]) == sha256(b"\x01" + LEAVES[0] + LEAVES[1]).digest()
