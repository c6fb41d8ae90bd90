"""The state of a run as a fold over its facts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from runlore.domain.config import flattened
from runlore.domain.events import (
    ArtifactAdded,
    ArtifactPruned,
    ChangeRefused,
    ConfigAdded,
    ConfigCorrected,
    DescriptionSet,
    DisplayNameSet,
    EnvironmentRecorded,
    PropertyAdded,
    PropertyCorrected,
    RunAlerted,
    RunArchived,
    RunCreated,
    RunErased,
    RunFound,
    RunLost,
    RunPlaced,
    RunReactivated,
    RunResumed,
    RunRewound,
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
    """A property's value or a config's JSON, the writer that set it, and when (µs since 1970).

    `reason` is the reason of a correction, and None if the value is the first one. `actor` is the
    one that the change states, as in `Fact`.
    """

    value: str | None
    writer_id: str | None
    since: int
    reason: str | None = None
    actor: str | None = None


class Artifact(NamedTuple):
    """A file of a run: its digest, which is its name in the artifact store, and its size.

    A file by reference is at `uri`, and has a digest and a size only where they are known. The
    content of a `pruned` file was given up.
    """

    sha256: str | None
    nbytes: int | None
    uri: str | None = None
    pruned: bool = False

    @property
    def content(self) -> str | None:
        """What tells this content from another: its digest, or else its URI."""
        return self.sha256 or self.uri


class Pause(NamedTuple):
    """A span of the log in which the run had ended: after `ended`, before `resumed`.

    Values at positions between these came late.
    """

    ended: int
    resumed: int


class Rewind(NamedTuple):
    """From this position on, values of steps after `step` that were logged before it are void."""

    position: int
    step: int


class Before(NamedTuple):
    """The part of the state before a loss that comes back when the run is found."""

    status: Status
    running_since: int | None
    ran_us: int
    last_ended_at: int | None


class Refusal(NamedTuple):
    """A refused change of one author, remembered so that it is recorded only once."""

    author: str | None
    change: str
    key: str | None
    refused: str | None


class Exit(NamedTuple):
    """The end of a process of a submitted script; one of `exit_code` and `signal` is None."""

    rank: int
    exit_code: int | None
    signal: str | None


class RunAlert(NamedTuple):
    """A call for attention, and when it came (µs since 1970). `found_by` is the watch, if any."""

    title: str
    text: str
    level: str
    at: int
    found_by: str | None = None


class RunWarning(NamedTuple):
    """A deviation from the request: who reports it, and the text."""

    source: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run's state after the events of its own stream. Times are µs since 1970 UTC.

    `running_since` is when the present span began in which the run executes, and `ran_us` the
    length of the earlier spans; `ended_at` and `ended_position` are None while it has not ended,
    `last_ended_at` keeps the last end. `before_loss` is set while the run counts as lost. `begun`
    says whether the process that created the run executed it from then on.
    """

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
    created_for: str | None = None
    given_at: int | None = None
    given_user: str | None = None
    begun: bool = True
    started_at: int | None = None
    ended_at: int | None = None
    ended_position: int | None = None
    last_ended_at: int | None = None
    running_since: int | None = None
    ran_us: int = 0
    before_loss: Before | None = None
    archived_at: int | None = None
    status_detail: str | None = None
    error: Mapping[str, str] | None = None
    snapshot_id: str | None = None
    snapshot_manifest: str | None = None
    definition: Mapping[str, Any] | None = None
    repeats: str | None = None
    handle: str | None = None
    erased: bool = False
    exits: tuple[Exit, ...] = ()
    warnings: tuple[RunWarning, ...] = ()
    alerts: tuple[RunAlert, ...] = ()
    pauses: tuple[Pause, ...] = ()
    rewinds: tuple[Rewind, ...] = ()
    environment: Mapping[str, Any] | None = None
    config: Mapping[str, PropertyValue] = field(default_factory=dict)
    tags: Mapping[str, str | None] = field(default_factory=dict)
    properties: Mapping[str, PropertyValue] = field(default_factory=dict)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    refusals: frozenset[Refusal] = frozenset()

    @property
    def submitted(self) -> bool:
        """Whether a supervisor executes the run, not the process that created it."""
        return self.definition is not None

    @property
    def waits_to_begin(self) -> bool:
        """Whether the run is Running, but has got neither a value nor a change yet."""
        return self.status is Status.RUNNING and self.started_at is None

    @property
    def lost(self) -> bool:
        """Whether the run counts as lost."""
        return self.before_loss is not None

    def duration_us(self, now: int) -> int | None:
        """For how long the run executed, all spans together; None if it never started."""
        if self.started_at is None:
            return None
        return self.ran_us + (0 if self.running_since is None else max(0, now - self.running_since))

    def is_late(self, position: int) -> bool:
        """Whether values at this position of the log were logged while the run had ended."""
        if self.ended_position is not None and position > self.ended_position:
            return True
        return any(pause.ended < position < pause.resumed for pause in self.pauses)


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
    for name in ("tags", "properties", "artifacts", "config"):
        draft[name] = dict(draft[name])
    draft["refusals"] = set(draft["refusals"])
    draft["alerts"] = list(draft["alerts"])
    return draft


def _state_of(draft: dict[str, Any]) -> RunState:
    lasting = {"refusals": frozenset(draft["refusals"]), "alerts": tuple(draft["alerts"])}
    return RunState(**{**draft, **lasting})


def _created(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    status = Status(data["status"])
    seen_at = fact.observed_at
    started_at = seen_at if status is Status.RUNNING and data["begun"] else None
    if data["given_at"] is not None:
        started_at = data["given_at"]
    draft.update(
        data,
        status=status,
        created_at=seen_at,
        created_by=fact.writer_id,
        created_for=fact.actor,
        started_at=data.get("started_at", started_at),
        running_since=started_at,
        outputs=tuple(data["outputs"]),
        tags=dict(data["tags"]),
        properties=_held(data["properties"], fact),
        config={} if data["config"] == "{}" else _held(flattened(json.loads(data["config"])), fact),
        artifacts={},
        refusals=set(),
        alerts=[],
    )


def _held(values: Mapping[str, str | None], fact: Fact) -> dict[str, PropertyValue]:
    return {key: _held_value(value, fact) for key, value in values.items()}


def _held_value(value: str | None, fact: Fact, reason: str | None = None) -> PropertyValue:
    return PropertyValue(value, fact.writer_id, fact.observed_at, reason, fact.actor)


def _status(draft: dict[str, Any], status: Status, fact: Fact, began_at: int | None = None) -> None:
    draft["status"] = status
    if status is Status.RUNNING and draft.get("started_at") is None:
        draft["started_at"] = draft["running_since"] = began_at or fact.observed_at


def _status_given(status: Status) -> _Apply:
    def apply(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
        _status(draft, status, fact, data.get("began_at"))
        if status in TERMINAL:
            _ended(draft, fact)
            draft["error"] = data.get("error")

    return apply


def _ended(draft: dict[str, Any], fact: Fact) -> None:
    since = draft.get("running_since")
    if since is not None:
        draft["ran_us"] = draft.get("ran_us", 0) + max(0, fact.observed_at - since)
    draft.update(
        running_since=None,
        ended_at=fact.observed_at,
        ended_position=fact.position,
        last_ended_at=fact.observed_at,
    )


def _lost(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    before = Before(
        draft["status"],
        draft.get("running_since"),
        draft.get("ran_us", 0),
        draft.get("last_ended_at"),
    )
    _status_given(Status.FAILED)(draft, data, fact)
    draft["before_loss"] = before


def _found(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    """Undo the loss: the run executed all along."""
    before = draft.pop("before_loss", None)
    if before is not None:
        draft.update(
            running_since=before.running_since,
            ran_us=before.ran_us,
            last_ended_at=before.last_ended_at,
        )
    draft.update(ended_at=None, ended_position=None, error=None)
    _status(draft, Status(data["status"]), fact)


def _resumed(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    ended_position = draft.get("ended_position")
    if ended_position is not None:
        pause = Pause(ended_position, fact.position)
        draft["pauses"] = (*draft.get("pauses", ()), pause)
    draft.pop("before_loss", None)
    draft.update(ended_at=None, ended_position=None, error=None, running_since=fact.observed_at)
    _status(draft, Status.RUNNING, fact)


def _rewound(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    draft["rewinds"] = (*draft.get("rewinds", ()), Rewind(fact.position, data["step"]))


def _status_changed(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    _status(draft, Status(data["status"]), fact)
    draft["status_detail"] = data["detail"]


def _exited(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    ended = Exit(data["rank"], data["exit_code"], data["signal"])
    draft["exits"] = (*draft.get("exits", ()), ended)


def _warned(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    warned = RunWarning(data["source"], data["message"])
    draft["warnings"] = (*draft.get("warnings", ()), warned)


def _alerted(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    alert = RunAlert(data["title"], data["text"], data["level"], fact.observed_at, fact.reason)
    draft["alerts"].append(alert)


def _property_added(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    held = _held_value(data["value"], fact)
    draft["properties"].setdefault(data["key"], held)


def _property_corrected(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    held = PropertyValue(data["value"], fact.writer_id, fact.observed_at, fact.reason, fact.actor)
    draft["properties"][data["key"]] = held


def _config_added(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    for key, held in _held(flattened(json.loads(data["config"])), fact).items():
        draft["config"].setdefault(key, held)


def _config_corrected(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    held = PropertyValue(data["value"], fact.writer_id, fact.observed_at, fact.reason, fact.actor)
    draft["config"][data["key"]] = held


def _artifact_added(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    draft["artifacts"][data["name"]] = Artifact(data["sha256"], data["nbytes"], data["uri"])


def _artifact_pruned(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    held = draft["artifacts"].get(data["name"])
    if held is not None:
        draft["artifacts"][data["name"]] = held._replace(pruned=True)


def _snapshot_taken(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    draft["snapshot_id"] = data["snapshot_id"]
    draft["snapshot_manifest"] = data["manifest_sha256"]


def _change_refused(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    refusal = Refusal(fact.author, data["change"], data["key"], data["refused"])
    draft["refusals"].add(refusal)


def _erased(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    """Leave the state of a reader that never saw more than the remains."""
    born = fact._replace(
        observed_at=draft["created_at"],
        writer_id=draft["created_by"],
        actor=draft["created_for"],
    )
    draft.clear()
    _created(draft, remains_of(data), born)
    if draft["started_at"] is not None and draft["ended_at"] is not None:
        draft["ran_us"] = max(0, draft["ended_at"] - draft["started_at"])


_APPLY: Final[Mapping[str, _Apply]] = {
    RunCreated.topic: _created,
    **{topic: _status_given(status) for topic, status in STATUS_AFTER.items()},
    RunLost.topic: _lost,
    RunFound.topic: _found,
    RunResumed.topic: _resumed,
    RunRewound.topic: _rewound,
    RunArchived.topic: lambda draft, data, fact: draft.update(archived_at=fact.observed_at),
    RunReactivated.topic: lambda draft, data, fact: draft.update(archived_at=None),
    RunStatusChanged.topic: _status_changed,
    RunSubmitted.topic: lambda draft, data, fact: draft.update(
        definition=data["definition"], repeats=data["repeats"]
    ),
    RunPlaced.topic: lambda draft, data, fact: draft.update(handle=data["handle"]),
    ScriptExited.topic: _exited,
    WarningAdded.topic: _warned,
    RunAlerted.topic: _alerted,
    TagSet.topic: lambda draft, data, fact: draft["tags"].update({data["key"]: data["value"]}),
    TagRemoved.topic: lambda draft, data, fact: draft["tags"].pop(data["key"], None),
    PropertyAdded.topic: _property_added,
    PropertyCorrected.topic: _property_corrected,
    ConfigAdded.topic: _config_added,
    ConfigCorrected.topic: _config_corrected,
    DisplayNameSet.topic: lambda draft, data, fact: draft.update(display_name=data["display_name"]),
    DescriptionSet.topic: lambda draft, data, fact: draft.update(description=data["description"]),
    ArtifactAdded.topic: _artifact_added,
    ArtifactPruned.topic: _artifact_pruned,
    EnvironmentRecorded.topic: lambda draft, data, fact: draft.update(
        environment=data["environment"]
    ),
    SnapshotTaken.topic: _snapshot_taken,
    ChangeRefused.topic: _change_refused,
    RunErased.topic: _erased,
}
