"""The format of a bundle: events of a log in one file, with the proof that they were in it.

A zip file with the entries

    events.bin              the events, whole, each after its length; see `BundleRecord`
    tree.bin                nodes of the log's Merkle tree, 48 bytes each; see `pack_nodes`
    schema.json             the payloads of the topics, as JSON Schema
    checkpoints/<name>.txt  the workspace's checkpoints
    artifacts/<sha256>      files of the runs; without their bytes only snapshots' manifests
    manifest.json           everything else, and the SHA-256 of every other entry; the last one

docs/bundles.md specifies the format, so that others can read it.
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
from runlore.domain.events import LOG_VERSION
from runlore.storage.event_log import StoredRow
from runlore.storage.pruned_tree import Node

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = "runlore-bundle"
NEWEST_VERSION: Final = LOG_VERSION
"""A bundle has the version that a log of its events would have: an older runlore refuses it."""

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
"""The possible names of entries; none of them can lead to a path outside of the bundle."""

RECORD_MAX_NBYTES: Final = 2**28
"""Far more than any event that we write; a forged length must not fill the memory."""

_LENGTH: Final = struct.Struct(">I")
_NODE: Final = struct.Struct(">QQ32s")
_DIGEST: Final = r"^[0-9a-f]{64}\z"
_INT64: Final = range(-(2**63), 2**63)


class BundleRefused(UserError, ValueError):
    """A file is not a bundle, is damaged, or contradicts itself; nothing was written."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(
            f"bundle {path} is refused: {problem}; nothing was written: get the file again from "
            "where it was exported"
        )
        self.path = path
        self.problem = problem


class Problem(StrEnum):
    """The kind of a finding."""

    UNREADABLE = "unreadable"
    FORBIDDEN = "forbidden"
    MISSING = "missing"
    CHANGED = "changed"
    UNPROVEN = "unproven"
    IMPOSSIBLE = "impossible"


class BundleFinding(NamedTuple):
    """Something wrong in an entry, with the position of the event if it is about one."""

    problem: Problem
    message: str
    entry: str
    position: int | None = None


class BundleRecord(NamedTuple):
    """An event of the log: its index among all leaves, from 0, and its row."""

    leaf_index: int
    row: StoredRow


class ManifestEntry(BaseModel):
    """Digest and size of another entry, in the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: str = Field(pattern=_DIGEST)
    nbytes: int = Field(ge=0)


class SourceWorkspace(BaseModel):
    """The workspace that a bundle was exported from."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(max_length=200)
    name: str = Field(max_length=200)


class BundleHead(BaseModel):
    """The log's head at the export, against which the events are proved."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    size: int = Field(ge=0, lt=2**62)
    position: int = Field(ge=0, lt=2**62)
    recorded_at: int = Field(ge=0, lt=2**62)
    root: str = Field(pattern=_DIGEST)


class Manifest(BaseModel):
    """The manifest. `absent` are the digests of artifacts whose bytes are not in the bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: str
    version: int
    workspace: SourceWorkspace
    selection: dict[str, Any]
    head: BundleHead
    events: int = Field(ge=0)
    absent: list[Annotated[str, Field(pattern=_DIGEST)]]
    entries: dict[str, ManifestEntry]


def pack_record(record: BundleRecord) -> bytes:
    """An event after its length: 4 bytes, big-endian, then a msgpack array of its ten fields."""
    packed: bytes = msgpack.packb((record.leaf_index, *record.row))
    return _LENGTH.pack(len(packed)) + packed


def read_records(source: IO[bytes]) -> Iterator[BundleRecord]:
    """The events of `events.bin`, in the log's order. Raises ValueError if they are malformed."""
    previous_index, previous_position = -1, 0
    while head := source.read(_LENGTH.size):
        if len(head) < _LENGTH.size:
            raise ValueError("it ends within a length")
        (nbytes,) = _LENGTH.unpack(head)
        if nbytes > RECORD_MAX_NBYTES:
            raise ValueError(f"an event claims to have {nbytes:,} bytes")
        packed = source.read(nbytes)
        if len(packed) < nbytes:
            raise ValueError("it ends within an event")
        record = _record(packed)
        index, position = record.leaf_index, record.row.position
        if index <= previous_index or position <= previous_position:
            raise ValueError(f"position {position} does not follow {previous_position}")
        previous_index, previous_position = index, position
        yield record


def _record(packed: bytes) -> BundleRecord:
    try:
        # Arrays and maps in an event are packed again, as bytes.
        fields = msgpack.unpackb(packed, max_array_len=10, max_map_len=0)
        index, *row = fields
        record = BundleRecord(index, StoredRow(*row))
    except Exception as error:  # msgpack raises many kinds of errors.
        raise ValueError("an event is not a msgpack array of ten fields") from error
    if tuple(map(type, fields)) not in _SHAPES or not _fits(record):
        raise ValueError("an event has a field of another type or size")
    return record


# index, position, stream, version, topic, state, event id, recorded at, metadata, leaf: foreign
# events have neither id nor metadata.
_SHAPES: Final = frozenset(
    (int, int, str, int, str, bytes, event_id, int, metadata, bytes)
    for event_id in (bytes, type(None))
    for metadata in (bytes, type(None))
)


def _fits(record: BundleRecord) -> bool:
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
    """The nodes of `tree.bin`, one after the other. Raises ValueError if they are malformed."""
    while packed := source.read(_NODE.size):
        if len(packed) < _NODE.size:
            raise ValueError("the tree ends within a node")
        yield Node(*_NODE.unpack(packed))
