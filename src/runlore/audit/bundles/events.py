"""Checks of the events of a bundle: the rules that our own writers keep.

The folds trust the log, because only our own code writes to it. Imported events pass these checks
first: a known topic has the payload of its model, in the stream where it belongs; the events of a
newer runlore are kept unread, as in our own log, within limits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgpack
from pydantic import ValidationError

from runlore.domain.config import check_config, json_text
from runlore.domain.definition import Definition
from runlore.domain.errors import RunloreError
from runlore.domain.events import (
    REGISTRY,
    ArtifactAdded,
    ArtifactPruned,
    ComputeTargetAttached,
    ComputeTargetDeleted,
    ConfigAdded,
    ConfigCorrected,
    EnvironmentRecorded,
    ExperimentCreated,
    ExperimentRenamed,
    ExperimentTagSet,
    PropertyAdded,
    PropertyCorrected,
    RunAlerted,
    RunCreated,
    RunErased,
    RunFound,
    RunRewound,
    RunSubmitted,
    SnapshotTaken,
    TagSet,
    ValuesLogged,
    ViewDeleted,
    ViewSaved,
)
from runlore.domain.fact import TIME_END
from runlore.domain.ids import (
    StreamKind,
    StreamName,
    check_experiment_name,
    check_run_id,
    check_target_name,
    check_view_name,
    parse_stream,
)
from runlore.domain.run import (
    ALERT_LEVELS,
    STEPS,
    check_reference,
)
from runlore.domain.status import TERMINAL
from runlore.domain.text import FILE_NAME_MAX_CHARS, check_key, check_pairs
from runlore.storage.codec import ERASED, check_model, decode_event, fact_of
from runlore.storage.event_log import StoredRow
from runlore.storage.safe_paths import safe_name
from runlore.storage.snapshots import snapshot_id_of

STATE_MAX_NBYTES: Final = 2**27
UNKNOWN_MAX_NBYTES: Final = 2**20
METADATA_MAX_NBYTES: Final = 2**16
ORIGINS_MAX: Final = 20
_DEPTH_MAX: Final = 100
_NBYTES_MAX: Final = 2**53
_TOPIC: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_WRITER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_METADATA_TYPES: Final = {
    "writer": str,
    "reason": str,
    "actor": str,
    "observed_at": int,
    "as_of": int,
    "origin": dict,
}


def check_event(row: StoredRow) -> dict[str, Any] | None:
    """The event's data; None if its topic or version is unknown. Raises ValueError if it is wrong.

    Events of other applications, which have no id, cannot be in a bundle.
    """
    if row.event_id is None or row.metadata is None:
        raise ValueError("it was not written by runlore")
    if not 0 <= row.recorded_at < TIME_END:
        raise ValueError(f"it claims to have been recorded {row.recorded_at} µs after 1970")
    if row.state == ERASED:
        raise ValueError("it was erased, and erased runs cannot be in a bundle")
    _check_metadata(row.metadata)
    stream = _checked_stream(row.stream)
    if len(row.topic) > 100 or _TOPIC.fullmatch(row.topic) is None:
        raise ValueError(f"{row.topic!r:.120} is not a topic")
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
    check_model(row.topic, data)
    _check_plain(data)
    _check_meaning(row, data, stream.owner)
    return data


def _check_metadata(packed: bytes) -> None:
    if len(packed) > METADATA_MAX_NBYTES:
        raise ValueError(f"its metadata has {len(packed):,} bytes")
    try:
        metadata = msgpack.unpackb(packed)
    except Exception as error:  # msgpack raises many kinds of errors.
        raise ValueError("its metadata is not msgpack") from error
    if not isinstance(metadata, dict) or any(
        name in metadata and type(metadata[name]) is not expected
        for name, expected in _METADATA_TYPES.items()
    ):
        raise ValueError("its metadata has a value of another type")
    for name in ("observed_at", "as_of"):
        if not 0 <= metadata.get(name, 0) < TIME_END:
            raise ValueError(f"its {name} is {metadata[name]} µs after 1970")
    _check_plain(metadata)
    depth, origin = 0, metadata.get("origin")
    while isinstance(origin, dict):
        depth += 1
        if depth > ORIGINS_MAX:
            raise ValueError(f"it claims to have been imported more than {ORIGINS_MAX} times")
        origin = origin.get("origin")


def _check_plain(value: object, above: int = 0) -> None:
    """Check that a value consists of JSON types and bytes; msgpack allows more, which could not
    be displayed.
    """
    if above > _DEPTH_MAX:
        raise ValueError(f"it has values nested more than {_DEPTH_MAX} deep")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_plain(key, above + 1)
            _check_plain(item, above + 1)
    elif isinstance(value, list):
        for item in value:
            _check_plain(item, above + 1)
    elif not isinstance(value, str | bytes | int | float | None):
        raise ValueError(f"it has a value of the type {type(value).__name__}")


def _kind_of(topic: str) -> StreamKind:
    """The kind of the streams that events of a known topic belong in."""
    if topic == ValuesLogged.topic:
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
            case StreamName(StreamKind.VIEW, owner):
                check_view_name(owner)
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


def _check_meaning(row: StoredRow, data: Mapping[str, Any], owner: str) -> None:
    """Check what the folds rely on and the models do not say."""
    try:
        match row.topic:
            case RunCreated.topic:
                _check_same(data["run_id"], owner)
                _check_same(row.version, 1)
                check_experiment_name(data["experiment_name"])
                for above in (data["root_id"], data["parent_id"]):
                    check_run_id(owner if above is None else above)
                check_pairs(data["tags"], "tag")
                check_pairs(data["properties"], "property")
                _check_config(data["config"])
                if data["given_user"] is not None:
                    check_key(data["given_user"], "user")
            case ExperimentCreated.topic | ComputeTargetAttached.topic | ComputeTargetDeleted.topic:
                _check_same(data["name"], owner)
            case ExperimentRenamed.topic:
                check_pairs(data["tags"], "tag")
                names = [check_experiment_name(data[name]) for name in ("previous", "name")]
                if owner not in names or names[0] == names[1]:
                    raise ValueError(f"it renames {names[0]!r:.120} to {names[1]!r:.120}")
            case ViewSaved.topic:
                _check_same(data["name"], owner)
                check_config(data["definition"])
            case ViewDeleted.topic:
                _check_same(data["name"], owner)
            case TagSet.topic | ExperimentTagSet.topic:
                check_pairs({data["key"]: data["value"]}, "tag")
            case PropertyAdded.topic | PropertyCorrected.topic:
                check_pairs({data["key"]: data["value"]}, "property")
            case ConfigAdded.topic:
                _check_config(data["config"])
            case ConfigCorrected.topic:
                check_key(data["key"], "config key")
                for name in ("value", "superseded"):
                    _check_leaf(data[name])
            case EnvironmentRecorded.topic:
                check_config(data["environment"])
            case RunAlerted.topic if data["level"] not in ALERT_LEVELS:
                raise ValueError(f"it alerts with the level {data['level']!r:.80}")
            case RunRewound.topic if data["step"] not in STEPS:
                raise ValueError(f"it goes back to the step {data['step']!r:.80}")
            case RunFound.topic if data["status"] in TERMINAL:
                raise ValueError(f"it finds a run that is {data['status']}")
            case RunSubmitted.topic:
                _check_definition(data["definition"])
            case ArtifactAdded.topic:
                check_key(safe_name(data["name"]), "file name", FILE_NAME_MAX_CHARS)
                if data["uri"] is not None:
                    check_reference(data["uri"], data["name"])
                if data["uri"] is None or data["sha256"] is not None:
                    _check_digest(data["sha256"])
            case ArtifactPruned.topic:
                check_key(safe_name(data["name"]), "file name", FILE_NAME_MAX_CHARS)
            case SnapshotTaken.topic:
                _check_digest(data["manifest_sha256"])
                # Restoring the snapshot writes a file of this name.
                if data["snapshot_id"] != snapshot_id_of(data["manifest_sha256"]):
                    raise ValueError(f"{data['snapshot_id']!r:.80} is not its snapshot's id")
            case ValuesLogged.topic:
                _check_values(row, data)
            case RunErased.topic:  # Each would rebuild the tables, in vain.
                raise ValueError("only erasable workspaces have erased runs, bundles never")
    except RunloreError as error:
        raise ValueError(str(error)) from error
    for name in ("nbytes", "files", "pid", "uid", "count", "first_seq", "rank"):
        if data.get(name) is not None and not 0 <= data[name] <= _NBYTES_MAX:
            raise ValueError(f"its {name} is {data[name]!r:.40}")
    for name in ("given_at", "started_at", "created_at"):
        if data.get(name) is not None and not 0 <= data[name] < TIME_END:
            raise ValueError(f"its {name} is {data[name]!r:.40}")


def _check_same(value: object, by_stream: object) -> None:
    if value != by_stream:
        raise ValueError(f"it says {value!r:.120}, and its stream says {by_stream!r:.120}")


def _check_definition(definition: Mapping[str, Any]) -> None:
    """Check that it has every field that is shown; a newer runlore may have more."""
    try:
        known = Definition.model_validate(definition).model_dump()
        if "secret_arguments" not in definition:  # Only where there are some; older ones have none.
            del known["secret_arguments"]
        same = msgpack.packb({name: definition[name] for name in known}) == msgpack.packb(known)
    except (ValidationError, KeyError) as error:
        raise ValueError(f"its definition is invalid: {error}") from error
    if not same or (known["script"] is None and known["command"] is None):
        raise ValueError("its definition has neither a script nor a command")


def _check_config(text: str) -> None:
    """Check that it is the text that our own writers make of a config."""
    config = _parsed(text)
    if json_text(check_config(config)) != text:
        raise ValueError("its config is not as runlore writes it")


def _check_leaf(text: str) -> None:
    value = _parsed(text)
    if json_text(check_config({"value": value})["value"]) != text or (
        value and type(value) is dict
    ):
        raise ValueError("its value is not one of a config")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its config is no JSON: {error}") from error


def _check_digest(digest: str | None) -> None:
    if digest is None or _DIGEST.fullmatch(digest) is None:
        raise ValueError(f"{digest!r:.80} is not a SHA-256 digest")


def _check_values(row: StoredRow, data: Mapping[str, Any]) -> None:
    """Check that the projection can read the batch; otherwise every catch-up would fail."""
    # Imported here: a bundle without values needs neither NumPy nor Arrow.
    import zstandard

    from runlore.projections.points import points_of
    from runlore.storage.value_reader import PAYLOAD_MAX_NBYTES, VALUES_MAX

    total = 0
    for described in data["series"]:
        n, name = described.get("n"), described.get("name")
        columns, kind = described.get("columns", []), described.get("kind", "scalar")
        if type(n) is not int or not 1 <= n <= VALUES_MAX:
            raise ValueError(f"a series claims to have {n!r:.40} values")
        check_key(name, "metric name")
        if not isinstance(columns, list) or not isinstance(kind, str) or len(kind) > 100:
            raise ValueError(f"the description of the series {name!r:.80} is invalid")
        for column in columns:
            check_key(column, "column name")
        check_pairs({"description": described.get("description")}, "series")
        total += n * max(1, len(columns))
    if total > VALUES_MAX:
        raise ValueError(f"a batch claims to have {total:,} values")
    payload = data["payload"]
    try:
        nbytes = -1 if payload is None else zstandard.frame_content_size(payload)
    except zstandard.ZstdError as error:
        raise ValueError(f"its values are not compressed as runlore does it: {error}") from error
    if not 0 <= nbytes <= PAYLOAD_MAX_NBYTES:
        raise ValueError(f"its values are elsewhere, or unpack to {nbytes:,} bytes")
    try:
        blocks = list(points_of([(1, fact_of(row))], {}))
        rows = sum(len(points) for points in blocks)
        times = [int(t) for points in blocks for t in (points.times.min(), points.times.max())]
    except Exception as error:  # A forged payload can make any step fail in any way.
        raise ValueError(f"its values cannot be read: {error}") from error
    if rows != total or not all(0 <= time < TIME_END for time in times):
        raise ValueError("the number of its values or their times are impossible")
