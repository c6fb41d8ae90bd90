"""Merkle leaves and the frontier of the log's tree (RFC 6962, section 2.1).

The leaf of an event is `SHA-256(0x00 || fields)`, where each field is preceded by its length
in 4 bytes, big-endian; integers take 8 bytes, big-endian; NULL has the length 0xFFFFFFFF and no
bytes. Fields, in order: position, stream, version, topic, event id, recorded_at (µs), metadata,
state. An inner node is `SHA-256(0x01 || left || right)`.

The frontier of a tree with n leaves is the roots of its perfect subtrees, largest first: one
for each 1 bit of n. It suffices to add leaves and to compute the root.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from struct import Struct
from typing import Final, NamedTuple

HASH_NBYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()

_NULL: Final = b"\xff\xff\xff\xff"
_LENGTH = Struct(">I").pack
_INT_FIELD = Struct(">Iq").pack
# An integer field and the length of the next one; the first field follows the prefix of leaves.
_FIRST_FIELD = Struct(">cIqI").pack
_INT_AND_LENGTH = Struct(">IqI").pack


def leaf_hash(
    position: int,
    stream: str,
    version: int,
    topic: str,
    event_id: bytes | None,
    recorded_at: int,
    metadata: bytes | None,
    state: bytes,
) -> bytes:
    """The 32-byte leaf of one event; the module's docstring lists its fields."""
    stream_bytes = stream.encode()
    topic_bytes = topic.encode()
    return sha256(
        b"".join(
            (
                _FIRST_FIELD(b"\x00", 8, position, len(stream_bytes)),
                stream_bytes,
                _INT_AND_LENGTH(8, version, len(topic_bytes)),
                topic_bytes,
                _NULL if event_id is None else _LENGTH(len(event_id)) + event_id,
                _INT_FIELD(8, recorded_at),
                _NULL if metadata is None else _LENGTH(len(metadata)) + metadata,
                _LENGTH(len(state)),
                state,
            )
        )
    ).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The 32-byte hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


class Frontier(NamedTuple):
    """The roots of the perfect subtrees of a tree with `size` leaves, largest first.

    >>> Frontier().extended([b"a" * 32, b"b" * 32]).size
    2
    """

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def extended(self, leaves: Iterable[bytes]) -> Frontier:
        """The frontier after more leaves, in their order. One node hash a leaf, amortised."""
        size = self.size
        nodes = list(self.nodes)
        for leaf in leaves:
            carry, filled = leaf, size
            while filled & 1:
                carry = sha256(
                    b"\x01" + nodes.pop() + carry
                ).digest()  # A call would double the cost.
                filled >>= 1
            nodes.append(carry)
            size += 1
        return Frontier(size, tuple(nodes))

    @property
    def root(self) -> bytes:
        """The Merkle tree hash of all leaves; for the empty tree, SHA-256 of no bytes."""
        if not self.nodes:
            return EMPTY_ROOT
        root = self.nodes[-1]
        for node in reversed(self.nodes[:-1]):
            root = node_hash(node, root)
        return root

    def to_bytes(self) -> bytes:
        """The concatenated nodes; the log stores the size beside them."""
        return b"".join(self.nodes)

    @classmethod
    def from_bytes(cls, size: int, nodes: bytes) -> Frontier:
        """The frontier from `to_bytes()`; raises ValueError if size and nodes do not match."""
        if size < 0 or len(nodes) != HASH_NBYTES * size.bit_count():
            raise ValueError(f"{len(nodes)} bytes cannot be the frontier of {size} leaves")
        split = tuple(nodes[i : i + HASH_NBYTES] for i in range(0, len(nodes), HASH_NBYTES))
        return cls(size, split)
