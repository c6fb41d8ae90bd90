"""Events to msgpack bytes and back to upcast dicts.

`state` is the msgpack map `{"v": schema version, ...payload}`. Reading never builds models and
never raises for unknown topics or versions: see `runlore.domain.events.upcast`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import index
from typing import Any, Final

import msgpack

from runlore.domain.event import InvalidEvent
from runlore.domain.events import (
    REGISTRY,
    Event,
    ExperimentCreated,
    RunCreated,
    log_version_of,
    upcast,
)
from runlore.domain.fact import TIME_END, Fact
from runlore.domain.ids import experiment_stream, run_stream
from runlore.storage.event_log import StoredRow

ERASED: Final = b"\xc1erased"
"""The state of an event whose payload was erased; no msgpack begins like this."""

UNSEALABLE: Final = b"\xc1damaged "
"""How the state of a sealed event begins that could not be unsealed; the reason follows."""

_VERSION_END: Final = 1 << 53
_SMALL_NBYTES: Final = 64
_UNBOUNDED_NBYTES: Final = 1 << 20  # It unpacks to 70 times as much at most.
_ITEMS_MAX: Final = 4_000_000
_DEPTH_MAX: Final = 128
_CONTAINERS: Final = frozenset((list, dict))
_NO_CONTAINER: Final = bytes({*range(256)} - {*range(0x80, 0xA0), *range(0xDC, 0xE0)})
"""The bytes that do not begin a map or an array of msgpack."""

_MAP_16: Final = b"\xde"  # How msgpack begins a map of more than 15 keys.
_VERSION_KEY: Final = b"\xa1v"
_ESSENTIAL: Final = {topic for topic, event in REGISTRY.items() if max(event.log_versions) > 1}
_FIELDS: Final = {topic: frozenset(event.field_names) for topic, event in REGISTRY.items()}
_VERSIONS: Final = {topic: event.schema_version for topic, event in REGISTRY.items()}
_NAMED: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    RunCreated.topic: lambda data: run_stream(data["run_id"]),
    ExperimentCreated.topic: lambda data: experiment_stream(data["name"]),
}
"""The stream that an event names in its data as well."""


def unpacked(packed: bytes, **options: Any) -> Any:
    """What msgpack packed, within bounds: an array of a million empty arrays takes 64 MB.

    `options` are those of `msgpack.unpackb`. Raises ValueError if there is more of it than any
    event has; many other errors if it is not msgpack.
    """
    if len(packed) <= _UNBOUNDED_NBYTES:
        return msgpack.unpackb(packed, **options)
    left = _ITEMS_MAX

    def counted(container: Any) -> Any:
        nonlocal left
        left -= 8 + len(container)  # By memory: an empty one takes that of 8 items.
        if left < 0:
            raise ValueError(f"it would unpack to more than {_ITEMS_MAX:,} values")
        return container

    limits = {"max_array_len": _ITEMS_MAX, "max_map_len": _ITEMS_MAX}
    return msgpack.unpackb(packed, list_hook=counted, object_hook=counted, **limits, **options)


def unpacked_tree(packed: bytes, **options: Any) -> Any:
    """The same for what is folded, compared or shown: Python does that level by level.

    Raises ValueError also if arrays and maps are nested more than 128 deep. Writers stay below (a
    view has 102 levels at most), and Python raises RecursionError at some hundreds.
    """
    tree = unpacked(packed, **options)
    if len(packed) > _DEPTH_MAX and _may_be_deep(packed, tree):
        _check_depth(tree)
    return tree


def _may_be_deep(packed: bytes, tree: Any) -> bool:
    """Whether enough maps and arrays can begin in the bytes, which is quicker to find out."""
    held = tree.values() if type(tree) is dict else ()
    inside = sum(len(value) for value in held if type(value) is bytes)  # The values of a batch.
    if inside:
        return len(packed) - inside > _DEPTH_MAX
    return len(packed.translate(None, _NO_CONTAINER)) > _DEPTH_MAX


def _check_depth(tree: Any) -> None:
    level = [tree]
    for _ in range(_DEPTH_MAX):
        maps = [held for held in level if type(held) is dict]
        arrays = [held for held in level if type(held) is list]
        held_there = chain(*map(dict.values, maps), *arrays)
        level = [held for held in held_there if type(held) in _CONTAINERS]
        if not level:
            return
    raise ValueError(f"it has values nested more than {_DEPTH_MAX} deep")


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
        data: dict[str, Any] = unpacked_tree(state, strict_map_key=False)
        version = data.pop("v")
        if type(version) is not int or version != newest:
            return _checked(topic, upcast(topic, index(version), data))
        return _checked(topic, data)
    except Exception as error:
        if state == ERASED:
            return None
        if type(state) is bytes and state.startswith(UNSEALABLE):
            raise ValueError(state.removeprefix(UNSEALABLE).decode()) from None
        raise ValueError(
            f"{len(state):,} bytes are not the state of a {topic!r} event: {error!r:.200}"
        ) from error


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
    """The row as folds take it; its `damage` says so if its bytes cannot be decoded.

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
    for row in rows:
        position, stream, version, topic, state, event_id, recorded_at, metadata = row
        # SQLite lets any column hold anything.
        if not (
            type(version) is type(recorded_at) is int
            and type(stream) is type(topic) is str
            and 0 <= recorded_at < TIME_END
            and version < _VERSION_END
        ):
            add(_damaged(row, "its columns hold impossible values", facts))
            continue
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
                if topic in _NAMED:
                    _check_stream(topic, data, stream)
            elif state in known:
                data = known[state]
            else:
                data = decode_event(topic, state)
                if topic in _NAMED:
                    _check_stream(topic, data, stream)
                known[state] = data
            envelope = envelopes.get(metadata)
            if envelope is None:
                envelope = envelopes[metadata] = _envelope(metadata)
            observed_at, writer_id, reason, actor = envelope
        except (TypeError, ValueError) as error:
            add(_damaged(row, str(error), facts))
            continue
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
            None,
        )
        add(make(Fact, fields))
    return facts


def without_misfits(facts: Iterable[Fact]) -> list[Fact]:
    """The facts, where one whose data no event of its topic can have counts as damaged.

    For folds that fail: the bytes of such an event can be decoded, but not what they mean.
    """
    return [
        fact if (problem := _misfit(fact)) is None else fact._replace(data=None, damage=problem)
        for fact in facts
    ]


def check_model(topic: str, data: Mapping[str, Any]) -> None:
    """Raise ValueError unless an event of the topic would have written this payload.

    Down to the type of each value.
    """
    try:
        values = vars(REGISTRY[topic].of_stored(data))  # The comparison finds what it converts.
        same = msgpack.packb({key: values[key] for key in data}) == msgpack.packb(data)
    except InvalidEvent as error:
        raise ValueError(f"its {error.problem}") from error
    except Exception as error:  # msgpack raises many kinds of errors for depths and sizes.
        raise ValueError(f"its payload cannot be stored: {error}") from error
    if not same:
        raise ValueError("its payload has a value of another type")


def _check_stream(topic: str, data: Mapping[str, Any] | None, stream: str) -> None:
    """Raise ValueError if the data names another stream: one flipped bit may have renamed it."""
    if data is not None and (named := _NAMED[topic](data)) != stream:
        raise ValueError(f"it belongs in the stream {named!r:.200}")


def _misfit(fact: Fact) -> str | None:
    if fact.data is None:
        return fact.damage
    try:
        check_model(fact.topic, fact.data)
    except ValueError as error:
        return str(error)
    return None


def _damaged(row: tuple[Any, ...], problem: str, before: Sequence[Fact]) -> Fact:
    """What is left of an event that cannot be decoded; `before` are those before it."""
    position, stream, version, topic, _, event_id, recorded_at, metadata = row
    if not (type(recorded_at) is int and 0 <= recorded_at < TIME_END):
        recorded_at = before[-1].recorded_at if before else 0
    try:
        observed_at, writer_id, reason, actor = _envelope(metadata)
    except (TypeError, ValueError):
        observed_at = writer_id = reason = actor = None
    return Fact(
        position,
        stream if type(stream) is str else "",
        version if type(version) is int and version < _VERSION_END else 0,
        topic if type(topic) is str else "",
        None,
        event_id if type(event_id) is bytes else None,
        recorded_at,
        recorded_at if observed_at is None else observed_at,
        writer_id,
        reason,
        actor,
        problem,
    )


def _envelope(packed: bytes | None) -> tuple[Any, ...]:
    """`observed_at`, `writer`, `reason` and `actor` of an event's metadata.

    Raises ValueError if it is damaged.
    """
    try:
        metadata = unpacked_tree(packed) if packed else {}
        fields = tuple(map(metadata.get, ("observed_at", "writer", "reason", "actor")))
    except Exception as error:  # msgpack raises many kinds of errors.
        raise ValueError("its metadata is not a map of msgpack") from error
    observed_at, *texts = fields
    if observed_at is not None and not (type(observed_at) is int and 0 <= observed_at < TIME_END):
        raise ValueError(f"observed_at must be microseconds since 1970, got {observed_at!r:.80}")
    if not all(text is None or type(text) is str for text in texts):
        raise ValueError(f"its metadata has a value of another type: {texts!r:.200}")
    return fields
