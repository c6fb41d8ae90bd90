"""Events to msgpack bytes and back to upcast dicts.

`state` is the msgpack map `{"v": schema version, ...payload}`. Reading never builds models and
never raises on what it does not know: see `runlore.domain.events.upcast`.
"""

from __future__ import annotations

from operator import index
from typing import Any

import msgpack

from runlore.domain.events import REGISTRY, Event, upcast
from runlore.domain.fact import Fact
from runlore.storage.errors import LogCorrupt
from runlore.storage.event_log import StoredRow


def encode_event(event: Event) -> bytes:
    """The stored bytes of an event."""
    state: bytes = msgpack.packb({"v": event.schema_version, **event.__dict__})
    return state


def decode_event(topic: str, state: bytes) -> dict[str, Any] | None:
    """The payload in the newest shape of its topic; None if this runlore does not know it.

    Raises ValueError if the bytes of a known topic are no msgpack map with a version.
    """
    if topic not in REGISTRY:
        return None  # A newer runlore may keep its state in another format.
    try:
        data = msgpack.unpackb(state, strict_map_key=False)
        return upcast(topic, index(data.pop("v")), data)
    except Exception as error:
        raise ValueError(f"{len(state)} bytes are no state of a {topic!r} event") from error


def fact_of(row: StoredRow) -> Fact:
    """The row as folds take it. Raises LogCorrupt if bytes that we should know are damaged.

    Events of foreign applications on the same log (no event id) have no data for us.
    """
    if row.event_id is None:
        return Fact(
            row.position,
            row.stream,
            row.version,
            row.topic,
            None,
            None,
            row.recorded_at,
            None,
        )
    try:
        data = decode_event(row.topic, row.state)
        metadata = _metadata(row.metadata)
    except ValueError as error:
        raise LogCorrupt(
            f"event at position {row.position} ({row.stream} version {row.version}) is damaged: "
            f"{error}; restore the log from a copy"
        ) from error
    return Fact(
        row.position,
        row.stream,
        row.version,
        row.topic,
        data,
        row.event_id,
        row.recorded_at,
        metadata.get("writer"),
        metadata.get("reason"),
        metadata.get("actor"),
    )


def _metadata(packed: bytes | None) -> dict[str, Any]:
    metadata = msgpack.unpackb(packed) if packed else {}
    if not isinstance(metadata, dict):
        raise ValueError(f"metadata is no map but {metadata!r:.80}")
    return metadata
