"""A bundle: events of a log in one file, with what proves that they stood in it.

A zip file with the entries

    events.bin              the events, whole, each behind its length; see `Record`
    tree.bin                nodes of the log's Merkle tree, 48 bytes each; see `pack_nodes`
    schema.json             what the payloads of the topics hold, as JSON Schema
    checkpoints/<name>.txt  the workspace's checkpoints
    artifacts/<sha256>      files of the runs; without their bytes only snapshots' manifests
    manifest.json           everything else, and the SHA-256 of every other entry; the last one

The whole format is described in docs/bundles.md, so that others can read it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgpack
from pydantic import BaseModel, ConfigDict, Field

from runlore.domain.errors import UserError
from runlore.storage.event_log import StoredRow
from runlore.storage.pruned_tree import Node

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = "runlore-bundle"
FORMAT_VERSION: Final = 1

MANIFEST: Final = "manifest.json"
EVENTS: Final = "events.bin"
TREE: Final = "tree.bin"
SCHEMA: Final = "schema.json"
CHECKPOINTS: Final = "checkpoints/"
ARTIFACTS: Final = "artifacts/"

NAME: Final = re.compile(
    r"manifest\.json|events\.bin|tree\.bin|schema\.json"
    r"|checkpoints/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}\.txt|artifacts/[0-9a-f]{64}"
)
"""What an entry may be called: nothing that could become a path elsewhere."""

RECORD_MAX_NBYTES: Final = 2**28
"""No event of ours comes near; a forged length must not fill the memory."""

_LENGTH: Final = struct.Struct(">I")
_NODE: Final = struct.Struct(">QQ32s")
_DIGEST: Final = r"^[0-9a-f]{64}\z"
_INT64: Final = range(-(2**63), 2**63)


class BundleRefused(UserError, ValueError):
    """A file that is no bundle, is damaged, or says what cannot be; nothing of it was taken."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(
            f"bundle {path} is refused: {problem}; nothing was written: get the file anew from "
            "where it was exported"
        )
        self.path = path
        self.problem = problem


class Problem(StrEnum):
    """How something of a bundle is wrong."""

    UNREADABLE = "unreadable"
    FORBIDDEN = "forbidden"
    MISSING = "missing"
    CHANGED = "changed"
    UNPROVEN = "unproven"
    IMPOSSIBLE = "impossible"


class BundleFinding(NamedTuple):
    """One thing that is wrong, with the entry and, if it is about an event, its position."""

    problem: Problem
    message: str
    entry: str
    position: int | None = None


class Record(NamedTuple):
    """An event of the log: its place among all leaves, from 0 on, and its row."""

    leaf_index: int
    row: StoredRow


class Entry(BaseModel):
    """What the manifest says of another entry."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: str = Field(pattern=_DIGEST)
    nbytes: int = Field(ge=0)


class Source(BaseModel):
    """The workspace that a bundle comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(max_length=200)
    name: str = Field(max_length=200)


class Head(BaseModel):
    """The log's head at the export: what the events are proved against."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    size: int = Field(ge=0, lt=2**62)
    position: int = Field(ge=0, lt=2**62)
    recorded_at: int = Field(ge=0, lt=2**62)
    root: str = Field(pattern=_DIGEST)


class Manifest(BaseModel):
    """What a bundle says of itself. `absent` are digests of artifacts whose bytes are not in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: str
    version: int
    workspace: Source
    selection: dict[str, Any]
    head: Head
    events: int = Field(ge=0)
    absent: list[Annotated[str, Field(pattern=_DIGEST)]]
    entries: dict[str, Entry]


def pack_record(record: Record) -> bytes:
    """An event behind its length: 4 bytes, big-endian, and a msgpack array of its ten fields."""
    packed: bytes = msgpack.packb((record.leaf_index, *record.row))
    return _LENGTH.pack(len(packed)) + packed


def read_records(source: IO[bytes]) -> Iterator[Record]:
    """The events of `events.bin`, in the log's order. Raises ValueError for what is none."""
    before = -1, 0
    while head := source.read(_LENGTH.size):
        if len(head) < _LENGTH.size:
            raise ValueError("it ends within a length")
        (nbytes,) = _LENGTH.unpack(head)
        if nbytes > RECORD_MAX_NBYTES:
            raise ValueError(f"an event says that it has {nbytes:,} bytes")
        packed = source.read(nbytes)
        if len(packed) < nbytes:
            raise ValueError("it ends within an event")
        record = _record(packed)
        if record.leaf_index <= before[0] or record.row.position <= before[1]:
            raise ValueError(f"position {record.row.position} does not follow {before[1]}")
        before = record.leaf_index, record.row.position
        yield record


def _record(packed: bytes) -> Record:
    try:
        # Nothing in an event is an array or a map that is not packed once more.
        fields = msgpack.unpackb(packed, max_array_len=10, max_map_len=0)
        index, *row = fields
        record = Record(index, StoredRow(*row))
    except Exception as error:  # msgpack raises whatever its parser comes upon.
        raise ValueError("an event is no msgpack array of ten fields") from error
    if tuple(map(type, fields)) not in _SHAPES or not _fit(record):
        raise ValueError("an event has a field of another type or size")
    return record


# index, position, stream, version, topic, state, event id, recorded at, metadata, leaf: foreign
# events have neither id nor metadata.
_SHAPES: Final = frozenset(
    (int, int, str, int, str, bytes, event_id, int, metadata, bytes)
    for event_id in (bytes, type(None))
    for metadata in (bytes, type(None))
)


def _fit(record: Record) -> bool:
    row = record.row
    numbers = (record.leaf_index, row.position, row.version, row.recorded_at)
    return (
        all(number in _INT64 for number in numbers)
        and record.leaf_index >= 0
        and row.version >= 1
        and len(row.leaf) == 32
        and (row.event_id is None or len(row.event_id) == 16)
    )


def pack_nodes(nodes: Iterable[Node]) -> bytes:
    """Nodes of a pruned tree: start and stop, 8 bytes big-endian each, and the hash."""
    return b"".join(_NODE.pack(*node) for node in nodes)


def read_nodes(source: IO[bytes]) -> Iterator[Node]:
    """The nodes of `tree.bin`, one after the other. Raises ValueError for what is none."""
    while packed := source.read(_NODE.size):
        if len(packed) < _NODE.size:
            raise ValueError("the tree ends within a node")
        yield Node(*_NODE.unpack(packed))
