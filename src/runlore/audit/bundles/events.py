"""Whether an event of a bundle can be what it says: the rules that our own writers keep to.

The folds trust the log, because only our own code writes to it. An imported event passes through
here first: known topics have the payload of their model, in the stream where they belong; what a
newer runlore wrote is kept unread, as in our own log, within bounds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgpack
from pydantic import ValidationError

from runlore.domain.definition import Definition
from runlore.domain.errors import RunloreError
from runlore.domain.events import REGISTRY
from runlore.domain.ids import (
    StreamKind,
    StreamName,
    check_experiment_name,
    check_run_id,
    check_target_name,
    parse_stream,
)
from runlore.domain.text import FILE_NAME_MAX_CHARS, check_key, check_pairs
from runlore.storage.codec import ERASED, decode_event
from runlore.storage.event_log import StoredRow
from runlore.storage.safe_paths import safe_name
from runlore.storage.snapshots import snapshot_id_of

STATE_MAX_NBYTES: Final = 2**27
UNKNOWN_MAX_NBYTES: Final = 2**20
METADATA_MAX_NBYTES: Final = 2**16
ORIGINS_MAX: Final = 20
PAYLOAD_MAX_NBYTES: Final = 2**28
VALUES_MAX: Final = 10_000_000
"""In one batch; our own have thousands, arrays may have more."""

_TIME_MAX: Final = 253_402_300_800_000_000  # The year 10,000: no query can show a later time.
_DEPTH_MAX: Final = 100
_NBYTES_MAX: Final = 2**53
_TOPIC: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_WRITER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SAID: Final = {"writer": str, "reason": str, "actor": str, "observed_at": int, "origin": dict}


def check_event(row: StoredRow) -> dict[str, Any] | None:
    """The event's data, None if its topic or version is unknown. Raises ValueError if it cannot be.

    Events of foreign applications (without an id) cannot be in a bundle.
    """
    if row.event_id is None or row.metadata is None:
        raise ValueError("it was not written by runlore")
    if not 0 <= row.recorded_at < _TIME_MAX:
        raise ValueError(f"it says that it was recorded {row.recorded_at} µs after 1970")
    if row.state == ERASED:
        raise ValueError("it was erased, and no erased run comes into a bundle")
    _check_metadata(row.metadata)
    stream = _checked_stream(row.stream)
    if len(row.topic) > 100 or _TOPIC.fullmatch(row.topic) is None:
        raise ValueError(f"{row.topic!r:.120} is no topic")
    if len(row.state) > STATE_MAX_NBYTES:
        raise ValueError(f"its payload has {len(row.state):,} bytes")
    if row.topic not in REGISTRY:
        _check_unknown(row)
        return None
    if _kind_of(row.topic) != stream.kind:
        raise ValueError(f"a {row.topic} cannot be in the stream {row.stream!r:.120}")
    data = decode_event(row.topic, row.state)
    if data is None:
        _check_unknown(row)
        return None
    _check_model(row.topic, data)
    _check_plain(data)
    _check_meaning(row, data, stream.owner)
    return data


def _check_metadata(packed: bytes) -> None:
    if len(packed) > METADATA_MAX_NBYTES:
        raise ValueError(f"its metadata has {len(packed):,} bytes")
    try:
        said = msgpack.unpackb(packed)
    except Exception as error:  # msgpack raises whatever its parser comes upon.
        raise ValueError("its metadata is no msgpack") from error
    if not isinstance(said, dict) or any(
        name in said and type(said[name]) is not of for name, of in _SAID.items()
    ):
        raise ValueError("its metadata says something of another type")
    _check_plain(said)
    depth = 0
    while isinstance(said := said.get("origin"), dict):
        depth += 1
        if depth > ORIGINS_MAX:
            raise ValueError(f"it says that it was imported more than {ORIGINS_MAX} times")


def _check_plain(value: object, above: int = 0) -> None:
    """That it is of what JSON has, and bytes: msgpack has more, which nothing here could show."""
    if above > _DEPTH_MAX:
        raise ValueError(f"it says something in more than {_DEPTH_MAX} layers")
    if isinstance(value, dict):
        for key, one in value.items():
            _check_plain(key, above + 1)
            _check_plain(one, above + 1)
    elif isinstance(value, list):
        for one in value:
            _check_plain(one, above + 1)
    elif not isinstance(value, str | bytes | int | float | None):
        raise ValueError(f"it says something of the type {type(value).__name__}")


def _kind_of(topic: str) -> StreamKind:
    """The kind of the streams that events of a known topic belong in."""
    if topic == "run.values_logged":
        return StreamKind.VALUES
    return StreamKind(topic.partition(".")[0])


def _checked_stream(name: str) -> StreamName:
    """The parts of a stream's name. Raises ValueError if no stream of ours has this name."""
    stream = parse_stream(name)
    try:
        match stream:
            case StreamName(StreamKind.WORKSPACE):
                return stream
            case StreamName(StreamKind.RUN, run_id):
                check_run_id(run_id)
                return stream
            case StreamName(StreamKind.VALUES, run_id, writer) if _WRITER.fullmatch(writer):
                check_run_id(run_id)
                return stream
            case StreamName(StreamKind.EXPERIMENT, owner):
                check_experiment_name(owner)
                return stream
            case StreamName(StreamKind.COMPUTE_TARGET, owner):
                check_target_name(owner)
                return stream
            case StreamName(StreamKind.WRITER, writer) if _WRITER.fullmatch(writer):
                return stream
    except RunloreError as error:
        raise ValueError(str(error)) from error
    raise ValueError(f"{name!r:.120} is not a stream of a workspace")


def _check_unknown(row: StoredRow) -> None:
    if len(row.state) > UNKNOWN_MAX_NBYTES:
        raise ValueError(f"a {row.topic} is unknown here, and has {len(row.state):,} bytes")


def _check_model(topic: str, data: dict[str, Any]) -> None:
    """That the payload is one that the model would have written, to the type of each value."""
    try:
        # Not strict: msgpack has lists where models have tuples. What differs else is seen below.
        held = REGISTRY[topic].model_validate(data, strict=False).__dict__
        same = msgpack.packb({key: held[key] for key in data}) == msgpack.packb(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"its {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except Exception as error:  # What msgpack raises for depths and sizes.
        raise ValueError(f"its payload cannot be kept: {error}") from error
    if not same:
        raise ValueError("its payload has a value of another type")


def _check_meaning(row: StoredRow, data: Mapping[str, Any], owner: str) -> None:
    """What the folds count on and no model says."""
    try:
        match row.topic:
            case "run.created":
                _same(data["run_id"], owner)
                _same(row.version, 1)
                check_experiment_name(data["experiment_name"])
                for above in (data["root_id"], data["parent_id"]):
                    check_run_id(owner if above is None else above)
                check_pairs(data["tags"], "tag")
                check_pairs(data["properties"], "property")
            case "experiment.created" | "compute_target.attached" | "compute_target.deleted":
                _same(data["name"], owner)
            case "run.tag_set" | "experiment.tag_set":
                check_pairs({data["key"]: data["value"]}, "tag")
            case "run.property_added" | "run.property_corrected":
                check_pairs({data["key"]: data["value"]}, "property")
            case "run.submitted":
                _check_definition(data["definition"])
            case "run.artifact_added":
                check_key(safe_name(data["name"]), "file name", FILE_NAME_MAX_CHARS)
                _check_digest(data["sha256"])
            case "run.snapshot_taken":
                _check_digest(data["manifest_sha256"])
                # A file is written under this name when the snapshot is restored.
                if data["snapshot_id"] != snapshot_id_of(data["manifest_sha256"]):
                    raise ValueError(f"{data['snapshot_id']!r:.80} is not its snapshot's id")
            case "run.values_logged":
                _check_values(row, data)
            case "run.erased":  # Tables would be made anew for it, in vain: no key is here.
                raise ValueError("only an erasable workspace has erased runs, and no bundle")
    except RunloreError as error:
        raise ValueError(str(error)) from error
    for name in ("nbytes", "files", "pid", "count", "first_seq", "rank"):
        if name in data and not 0 <= data[name] <= _NBYTES_MAX:
            raise ValueError(f"its {name} is {data[name]!r:.40}")


def _same(said: object, by_stream: object) -> None:
    if said != by_stream:
        raise ValueError(f"it says {said!r:.120}, and its stream says {by_stream!r:.120}")


def _check_definition(said: Mapping[str, Any]) -> None:
    """That it has all that is shown of a script; a newer runlore may say more."""
    try:
        held = Definition.model_validate(said).model_dump()
        same = msgpack.packb({name: said[name] for name in held}) == msgpack.packb(held)
    except (ValidationError, KeyError) as error:
        raise ValueError(f"its definition is none: {error}") from error
    if not same or (held["script"] is None and held["command"] is None):
        raise ValueError("its definition is none of a script or a command")


def _check_digest(said: str) -> None:
    if _DIGEST.fullmatch(said) is None:
        raise ValueError(f"{said!r:.80} is no SHA-256 digest")


def _check_values(row: StoredRow, data: Mapping[str, Any]) -> None:
    """That the projection can read the batch: one that it cannot would end every catch-up."""
    # Imported here: a bundle without values needs neither NumPy nor Arrow.
    import zstandard

    from runlore.projections.points import points_of
    from runlore.storage.codec import fact_of

    total = 0
    for described in data["series"]:
        n, name = described.get("n"), described.get("name")
        columns, kind = described.get("columns", []), described.get("kind", "scalar")
        if type(n) is not int or not 1 <= n <= VALUES_MAX:
            raise ValueError(f"a series says that it has {n!r:.40} values")
        check_key(name, "metric name")
        if not isinstance(columns, list) or not isinstance(kind, str) or len(kind) > 100:
            raise ValueError(f"the series {name!r:.80} is described wrongly")
        for column in columns:
            check_key(column, "column name")
        check_pairs({"description": described.get("description")}, "series")
        total += n * max(1, len(columns))
    if total > VALUES_MAX:
        raise ValueError(f"a batch says that it has {total:,} values")
    payload = data["payload"]
    nbytes = -1 if payload is None else zstandard.frame_content_size(payload)
    if not 0 <= nbytes <= PAYLOAD_MAX_NBYTES:
        raise ValueError(f"its values are elsewhere, or unpack to {nbytes:,} bytes")
    try:
        found = list(points_of([(1, fact_of(row))], {}))
        rows = sum(len(points) for points in found)
        times = [int(one) for points in found for one in (points.times.min(), points.times.max())]
    except Exception as error:  # Of a forged payload any step may fail, in any way.
        raise ValueError(f"its values cannot be read: {error}") from error
    if rows != total or not all(0 <= one < _TIME_MAX for one in times):
        raise ValueError("its values are not as many, or not from when, they can be")
