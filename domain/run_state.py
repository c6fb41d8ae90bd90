"""The state of a run as a fold over its facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from runlore.domain.events import (
    ArtifactAdded,
    ChangeRefused,
    DescriptionSet,
    DisplayNameSet,
    PropertyAdded,
    PropertyCorrected,
    RunCreated,
    RunErased,
    RunStatusChanged,
    RunSubmitted,
    ScriptExited,
    SnapshotTaken,
    TagRemoved,
    TagSet,
    WarningAdded,
    remains_of,
)
from runlore.domain.fact import Fact
from runlore.domain.status import TERMINAL, Status
from runlore.domain.topics import STATUS_AFTER

_Apply = Callable[[dict[str, Any], dict[str, Any], Fact], None]


class PropertyValue(NamedTuple):
    """A property's value, the id of the writer that set it, and when (µs since 1970).

    `reason` is the reason of a correction, and None if the value is the first one.
    """

    value: str | None
    writer_id: str | None
    since: int
    reason: str | None = None


class Artifact(NamedTuple):
    """A file of a run: its digest, which is its name in the artifact store, and its size."""

    sha256: str
    nbytes: int


class Refusal(NamedTuple):
    """A refused change of one writer, remembered so that it is recorded only once."""

    writer_id: str | None
    change: str
    key: str | None
    refused: str | None


class Exit(NamedTuple):
    """The end of a process of a submitted script; one of `exit_code` and `signal` is None."""

    rank: int
    exit_code: int | None
    signal: str | None


class RunWarning(NamedTuple):
    """A deviation from the request: who reports it, and the text."""

    source: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run's state after the events of its own stream. Times are µs since 1970 UTC."""

    run_id: str
    experiment_id: str
    experiment_name: str
    status: Status
    root_id: str
    created_at: int
    version: int
    parent_id: str | None = None
    run_type: str | None = None
    target: str | None = None
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    outputs: tuple[str, ...] = ()
    created_by: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    status_detail: str | None = None
    error: Mapping[str, str] | None = None
    snapshot_id: str | None = None
    snapshot_manifest: str | None = None
    definition: Mapping[str, Any] | None = None
    repeats: str | None = None
    erased: bool = False
    exits: tuple[Exit, ...] = ()
    warnings: tuple[RunWarning, ...] = ()
    tags: Mapping[str, str | None] = field(default_factory=dict)
    properties: Mapping[str, PropertyValue] = field(default_factory=dict)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    refusals: frozenset[Refusal] = frozenset()

    @property
    def submitted(self) -> bool:
        """Whether a supervisor executes the run, not the process that created it."""
        return self.definition is not None


def fold(state: RunState | None, facts: Iterable[Fact]) -> RunState | None:
    """The state after the facts, in order; None before the creation. Pure.

    Unknown topics (written by a newer runlore) only advance the version; anything before
    `run.created` is ignored. Cost: O(facts), not O(facts * tags): maps are copied once per call.
    """
    draft: dict[str, Any] = {} if state is None else _draft_of(state)
    for fact in facts:
        apply = _APPLY.get(fact.topic)
        if apply is not None and fact.data is not None and (draft or apply is _created):
            apply(draft, fact.data, fact)
        if draft:
            draft["version"] = fact.version
    return _state_of(draft) if draft else None


def _draft_of(state: RunState) -> dict[str, Any]:
    draft: dict[str, Any] = {name: getattr(state, name) for name in RunState.__slots__}
    for name in ("tags", "properties", "artifacts"):
        draft[name] = dict(draft[name])
    draft["refusals"] = set(draft["refusals"])
    return draft


def _state_of(draft: dict[str, Any]) -> RunState:
    return RunState(**{**draft, "refusals": frozenset(draft["refusals"])})


def _created(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    status = Status(data["status"])
    held = {
        key: PropertyValue(value, fact.writer_id, fact.recorded_at)
        for key, value in data["properties"].items()
    }
    draft.update(
        data,
        status=status,
        created_at=fact.recorded_at,
        created_by=fact.writer_id,
        started_at=data.get("started_at", fact.recorded_at if status is Status.RUNNING else None),
        outputs=tuple(data["outputs"]),
        tags=dict(data["tags"]),
        properties=held,
        artifacts={},
        refusals=set(),
    )


def _status(draft: dict[str, Any], status: Status, fact: Fact) -> None:
    draft["status"] = status
    if status is Status.RUNNING and draft.get("started_at") is None:
        draft["started_at"] = fact.recorded_at


def _status_given(status: Status) -> _Apply:
    def apply(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
        _status(draft, status, fact)
        if status in TERMINAL:
            draft.update(ended_at=fact.recorded_at, error=data.get("error"))

    return apply


def _status_changed(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    _status(draft, Status(data["status"]), fact)
    draft["status_detail"] = data["detail"]


def _exited(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    ended = Exit(data["rank"], data["exit_code"], data["signal"])
    draft["exits"] = (*draft.get("exits", ()), ended)


def _warned(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    warned = RunWarning(data["source"], data["message"])
    draft["warnings"] = (*draft.get("warnings", ()), warned)


def _property_added(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    held = PropertyValue(data["value"], fact.writer_id, fact.recorded_at)
    draft["properties"].setdefault(data["key"], held)


def _property_corrected(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    held = PropertyValue(data["value"], fact.writer_id, fact.recorded_at, fact.reason)
    draft["properties"][data["key"]] = held


def _artifact_added(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    draft["artifacts"][data["name"]] = Artifact(data["sha256"], data["nbytes"])


def _snapshot_taken(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    draft["snapshot_id"] = data["snapshot_id"]
    draft["snapshot_manifest"] = data["manifest_sha256"]


def _change_refused(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    refusal = Refusal(fact.writer_id, data["change"], data["key"], data["refused"])
    draft["refusals"].add(refusal)


def _erased(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    """Leave the state of a reader that never saw more than the remains."""
    born = fact._replace(recorded_at=draft["created_at"], writer_id=draft["created_by"])
    draft.clear()
    _created(draft, remains_of(data), born)


_APPLY: Final[Mapping[str, _Apply]] = {
    RunCreated.topic: _created,
    **{topic: _status_given(status) for topic, status in STATUS_AFTER.items()},
    RunStatusChanged.topic: _status_changed,
    RunSubmitted.topic: lambda draft, data, fact: draft.update(
        definition=data["definition"], repeats=data["repeats"]
    ),
    ScriptExited.topic: _exited,
    WarningAdded.topic: _warned,
    TagSet.topic: lambda draft, data, fact: draft["tags"].update({data["key"]: data["value"]}),
    TagRemoved.topic: lambda draft, data, fact: draft["tags"].pop(data["key"], None),
    PropertyAdded.topic: _property_added,
    PropertyCorrected.topic: _property_corrected,
    DisplayNameSet.topic: lambda draft, data, fact: draft.update(display_name=data["display_name"]),
    DescriptionSet.topic: lambda draft, data, fact: draft.update(description=data["description"]),
    ArtifactAdded.topic: _artifact_added,
    SnapshotTaken.topic: _snapshot_taken,
    ChangeRefused.topic: _change_refused,
    RunErased.topic: _erased,
}
