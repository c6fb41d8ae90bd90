"""Events to msgpack bytes and back to upcast dicts.

`state` is the msgpack map `{"v": schema version, ...payload}`. Reading never builds models and
never raises for unknown topics or versions: see `runlore.domain.events.upcast`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import index
from typing import Any, Final

import msgpack

from runlore.domain.events import REGISTRY, Event, log_version_of, upcast
from runlore.domain.fact import TIME_END, Fact
from runlore.storage.errors import LogCorrupt
from runlore.storage.event_log import StoredRow

ERASED: Final = b"\xc1erased"
"""The state of an event whose payload was erased; no msgpack begins like this."""

_VERSION_END: Final = 1 << 53
_SMALL_NBYTES: Final = 64
_MAP_16: Final = b"\xde"  # How msgpack begins a map of more than 15 keys.
_VERSION_KEY: Final = b"\xa1v"
_ESSENTIAL: Final = {topic for topic, event in REGISTRY.items() if max(event.log_versions) > 1}
_FIELDS: Final = {topic: frozenset(event.model_fields) for topic, event in REGISTRY.items()}
_VERSIONS: Final = {topic: event.schema_version for topic, event in REGISTRY.items()}


def encode_event(event: Event) -> bytes:
    """The stored bytes of an event."""
    return encode_state(event.schema_version, event.__dict__)


def encode_state(version: int, data: Mapping[str, Any]) -> bytes:
    """The stored bytes of a payload of this schema version."""
    state: bytes = msgpack.packb({"v": version, **data})
    return state


def decode_event(topic: str, state: bytes) -> dict[str, Any] | None:
    """The payload in the newest shape of its topic; None if this runlore does not know it.

    Also None if it was erased. Raises ValueError if the bytes of a known topic are not a msgpack
    map with a version.
    """
    newest = _VERSIONS.get(topic)
    if newest is None:
        return None  # A newer runlore may keep its state in another format.
    try:
        data: dict[str, Any] = msgpack.unpackb(state, strict_map_key=False)
        version = data.pop("v")
        if type(version) is not int or version != newest:
            return _checked(topic, upcast(topic, index(version), data))
        return _checked(topic, data)
    except Exception as error:
        if state == ERASED:
            return None
        raise ValueError(f"{len(state)} bytes are not the state of a {topic!r} event") from error


def _checked(topic: str, data: dict[str, Any] | None) -> dict[str, Any] | None:
    """The payload, if it has all fields: one flipped bit may have renamed one."""
    if data is not None and not data.keys() >= _FIELDS[topic]:
        raise ValueError(f"it lacks {sorted(_FIELDS[topic] - data.keys())}")
    return data


def log_version_in(topic: str, state: bytes) -> int:
    """The version of a log that a stored event asks for; 1 if this runlore does not know it."""
    return log_version_of(topic, _version_in(state)) if topic in _ESSENTIAL else 1


def _version_in(state: bytes) -> int:
    """The schema version, without unpacking the rest; 0 if it is not where it always is."""
    start = 3 if state[:1] == _MAP_16 else 1
    key, version = state[start : start + 2], state[start + 2 : start + 3]
    return version[0] if key == _VERSION_KEY and version < b"\x80" and version else 0


def fact_of(row: StoredRow) -> Fact:
    """The row as folds take it. Raises LogCorrupt if the bytes of a known topic are damaged.

    Events of foreign applications on the same log (no event id) have no data for us.
    """
    return facts_of((row[:-1],))[0]


def facts_of(rows: Iterable[tuple[Any, ...]]) -> list[Fact]:
    """The facts of many rows without leaves (`EventLog.read_plain`), faster than one by one.

    Small events that repeat (a start, an end, a tag that many runs have) are decoded once, so facts
    may share their `data`: do not change it.
    """
    facts: list[Fact] = []
    add, make = facts.append, tuple.__new__  # Fact's own constructor takes twice as long.
    small: dict[str, dict[bytes, dict[str, Any] | None]] = {topic: {} for topic in _VERSIONS}
    envelopes: dict[bytes | None, tuple[Any, ...]] = {None: (None, None, None, None)}
    for position, stream, version, topic, state, event_id, recorded_at, metadata in rows:
        # SQLite lets any column hold anything.
        if not (
            type(version) is type(recorded_at) is int
            and type(stream) is type(topic) is str
            and 0 <= recorded_at < TIME_END
            and version < _VERSION_END
        ):
            raise LogCorrupt(
                f"event at position {position} ({stream!r:.200} version {version!r:.80} topic "
                f"{topic!r:.80} at {recorded_at!r:.80}) is damaged; restore the log from a copy"
            )
        if event_id is None:
            times = recorded_at, recorded_at
            add(Fact(position, stream, version, topic, None, None, *times, None))
            continue
        try:
            known = small.get(topic)
            if known is None:
                data = None
            elif len(state) > _SMALL_NBYTES:
                data = decode_event(topic, state)
            elif state in known:
                data = known[state]
            else:
                data = known[state] = decode_event(topic, state)
            envelope = envelopes.get(metadata)
            if envelope is None:
                envelope = envelopes[metadata] = _envelope(metadata)
            observed_at, writer_id, reason, actor = envelope
        except (TypeError, ValueError) as error:
            raise LogCorrupt(
                f"event at position {position} ({stream} version {version}) is damaged: "
                f"{error}; restore the log from a copy"
            ) from error
        if observed_at is None:
            observed_at = recorded_at
        fields = (
            position,
            stream,
            version,
            topic,
            data,
            event_id,
            recorded_at,
            observed_at,
            writer_id,
            reason,
            actor,
        )
        add(make(Fact, fields))
    return facts


def _envelope(packed: bytes | None) -> tuple[Any, ...]:
    """`observed_at`, `writer`, `reason` and `actor` of an event's metadata."""
    metadata = msgpack.unpackb(packed) if packed else {}
    if not isinstance(metadata, dict):
        raise ValueError(f"metadata must be a map, got {metadata!r:.80}")
    observed_at = metadata.get("observed_at")
    if observed_at is not None and not (type(observed_at) is int and 0 <= observed_at < TIME_END):
        raise ValueError(f"observed_at must be microseconds since 1970, got {observed_at!r:.80}")
    return observed_at, metadata.get("writer"), metadata.get("reason"), metadata.get("actor")
