"""The pure decision about each command that changes a run.

`decide(state, command, writer_id)` takes the run's folded state. It returns the events to
append and, if the state refuses the change, the error to raise after they are written:

- invalid arguments raise at once and write nothing;
- a command that would change nothing writes nothing (the same property again, a second
  `complete()`);
- a refused change writes `run.change_refused`, once per author and change. `writer_id` is the
  author: the writer and, if the change is not the writer's own, the actor (`Fact.author`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from runlore.domain import config as configs
from runlore.domain.decision import Decision
from runlore.domain.errors import (
    AlreadyExists,
    ChangeRefusedError,
    ConfigConflict,
    InvalidInput,
    InvalidType,
    PropertyConflict,
    RunEnded,
    RunGone,
    RunNotFound,
    TransitionRefused,
)
from runlore.domain.events import (
    ArtifactAdded,
    ArtifactPruned,
    ChangeRefused,
    ConfigAdded,
    ConfigCorrected,
    DescriptionSet,
    DisplayNameSet,
    EnvironmentRecorded,
    Event,
    PropertyAdded,
    PropertyCorrected,
    RunAlerted,
    RunArchived,
    RunCanceled,
    RunCancelRequested,
    RunCompleted,
    RunCreated,
    RunErased,
    RunFailed,
    RunFound,
    RunLost,
    RunPlaced,
    RunReactivated,
    RunResumed,
    RunRewound,
    RunStarted,
    RunStatusChanged,
    ScriptExited,
    SnapshotTaken,
    TagRemoved,
    TagSet,
    WarningAdded,
)
from runlore.domain.fact import utc_time
from runlore.domain.file_names import clashes
from runlore.domain.ids import check_run_id
from runlore.domain.run_commands import (
    AddArtifacts,
    AddConfig,
    AddProperties,
    AddWarning,
    Alert,
    ArchiveRun,
    BeginRun,
    ChangeStatus,
    ClaimRun,
    Command,
    CorrectConfig,
    CorrectProperty,
    CreateRun,
    EndRun,
    EraseRun,
    FindRun,
    KeepSnapshot,
    LoseRun,
    PlaceRun,
    PruneArtifacts,
    ReactivateRun,
    RecordEnvironment,
    RecordExit,
    RemoveTags,
    RequestCancel,
    ResumeRun,
    RewindRun,
    SetDescription,
    SetDisplayName,
    SetTags,
)
from runlore.domain.run_state import Artifact, Refusal, RunState
from runlore.domain.status import TERMINAL, Status, may_follow
from runlore.domain.text import (
    FILE_NAME_MAX_CHARS,
    check_key,
    check_keys,
    check_new_key,
    check_new_pairs,
    check_pairs,
    check_reason,
    check_text,
)

LOST: Final = "RunLost"
"""The error code of a run whose process or supervisor died without recording an end."""

ALERT_LEVELS: Final = ("info", "warning", "error")
"""How urgent an alert is."""

STEPS: Final = range(-(2**63), 2**63)
"""What a step can be."""

_USER_INFO: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*@")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def decide(state: RunState | None, command: Command, writer_id: str | None) -> Decision:
    """The events of a command, by the rules in the module's docstring."""
    if isinstance(command, CreateRun):
        return _create(state, command)
    if state is None:
        raise RunNotFound("?", "this workspace")
    if isinstance(command, EraseRun):
        return _erase(state, command)
    if state.erased:
        return Decision(refused=RunGone(state.run_id))
    match command:
        case SetTags(tags):
            return _set_tags(state, tags)
        case RemoveTags(keys):
            return _remove_tags(state, keys)
        case AddProperties(properties):
            return _add_properties(state, properties, writer_id)
        case CorrectProperty():
            return _correct_property(state, command)
        case ChangeStatus():
            return _change_status(state, command, writer_id)
        case AddConfig(config):
            return _add_config(state, config, writer_id)
        case CorrectConfig():
            return _correct_config(state, command)
        case AddArtifacts():
            return _add_artifacts(state, command, writer_id)
        case PruneArtifacts():
            return _prune_artifacts(state, command)
        case KeepSnapshot():
            return _keep_snapshot(state, command, writer_id)
        case EndRun(status, error):
            return _end(state, ChangeStatus(status, error), writer_id)
        case ClaimRun(detail):
            if state.status is not Status.QUEUED:
                return Decision()
            return Decision((RunStatusChanged(status=Status.STARTING, detail=detail),))
        case RequestCancel():
            return _request_cancel(state, writer_id)
        case LoseRun():
            return _lose(state, command)
        case FindRun():
            return _find(state)
        case BeginRun(began_at):
            return Decision((RunStarted(began_at=began_at),) if state.waits_to_begin else ())
        case ResumeRun():
            return _resume(state, command)
        case RewindRun(step):
            return _rewind(step)
        case ArchiveRun():
            return Decision((RunArchived(),) if state.archived_at is None else ())
        case ReactivateRun():
            return Decision((RunReactivated(),) if state.archived_at is not None else ())
        case RecordEnvironment(environment, artifacts):
            recorded = _record_environment(state, environment)
            added = _add_artifacts(state, AddArtifacts(artifacts), writer_id)
            return Decision((*recorded.events, *added.events), added.refused)
        case Alert():
            return _alert(state, command)
        case PlaceRun(handle):
            handle = check_key(handle, "handle")
            return Decision((RunPlaced(handle=handle),) if state.handle != handle else ())
        case RecordExit(rank, exit_code, signal):
            if (rank, exit_code, signal) in state.exits:
                return Decision()
            return Decision((ScriptExited(rank=rank, exit_code=exit_code, signal=signal),))
        case AddWarning(source, message):
            source, message = check_text(source, "source"), check_text(message, "warning")
            if (source, message) in state.warnings:
                return Decision()
            return Decision((WarningAdded(source=source, message=message),))
        case SetDisplayName(display_name):
            display_name = check_new_key(display_name, "display name")
            if state.display_name == display_name:
                return Decision()
            return Decision((DisplayNameSet(display_name=display_name),))
        case SetDescription(description):
            description = check_text(description, "description")
            if state.description == description:
                return Decision()
            return Decision((DescriptionSet(description=description),))


def _create(state: RunState | None, command: CreateRun) -> Decision:
    check_run_id(command.run_id)
    if state is not None:
        raise AlreadyExists(
            f"run id {command.run_id!r} is taken in this workspace; omit run_id to get a new "
            "one, or let that run go on with runlore.init(run_id=..., resume='allow')"
        )
    created = RunCreated(
        run_id=command.run_id,
        experiment_id=command.experiment_id,
        experiment_name=command.experiment_name,
        status=command.status,
        parent_id=command.parent_id,
        root_id=command.root_id,
        run_type=_optional_key(command.run_type, "run type"),
        target=_optional_key(command.target, "target"),
        name=_optional_key(command.name, "run name"),
        display_name=_optional_key(command.display_name, "display name"),
        description=_optional_text(command.description, "description"),
        outputs=tuple(check_key(path, "output path") for path in command.outputs),
        tags=check_new_pairs(command.tags, "tag"),
        properties=check_new_pairs(command.properties, "property"),
        config=configs.json_text(configs.check_new_config(command.config))
        if command.config
        else "{}",
        given_at=command.given_at,
        given_user=_optional_key(command.given_user, "user"),
        begun=command.begun,
    )
    return Decision((created,))


def _optional_key(key: str | None, what: str) -> str | None:
    return None if key is None else check_new_key(key, what)


def _optional_text(text: str | None, what: str) -> str | None:
    return None if text is None else check_text(text, what)


def _set_tags(state: RunState, tags: Mapping[str, str | None]) -> Decision:
    return Decision(
        tuple(
            TagSet(key=key, value=value)
            for key, value in check_new_pairs(tags, "tag").items()
            if key not in state.tags or state.tags[key] != value
        )
    )


def _remove_tags(state: RunState, keys: Sequence[str]) -> Decision:
    wanted = check_keys(keys, "tag")
    return Decision(tuple(TagRemoved(key=key) for key in wanted if key in state.tags))


def _add_properties(
    state: RunState, properties: Mapping[str, str | None], writer_id: str | None
) -> Decision:
    wanted = check_new_pairs(properties, "property")
    conflicts = [
        key
        for key, value in wanted.items()
        if key in state.properties and state.properties[key].value != value
    ]
    if not conflicts:
        return Decision(
            tuple(
                PropertyAdded(key=key, value=value)
                for key, value in wanted.items()
                if key not in state.properties
            )
        )
    first = conflicts[0]
    held = state.properties[first]
    error = PropertyConflict(
        state.run_id,
        first,
        held.value,
        wanted[first],
        held.writer_id,
        utc_time(held.since),
        held.reason,
        held.actor,
    )
    refusals = (
        ChangeRefused(
            change=PropertyAdded.topic,
            key=key,
            held=state.properties[key].value,
            refused=wanted[key],
            reason="property is held with another value",
        )
        for key in conflicts
    )
    return _refuse(state, refusals, error, writer_id)


def _correct_property(state: RunState, command: CorrectProperty) -> Decision:
    check_reason(command.reason, "a correction")
    ((key, value),) = check_pairs({command.key: command.value}, "property").items()
    held = state.properties.get(key)
    if held is None:
        known = ", ".join(repr(key)[:80] for key in sorted(state.properties)[:5]) or "none"
        error = InvalidInput(
            f"run {state.run_id} has no property {key!r:.80} to correct; it has {known}; add "
            "properties with run.add_properties()"
        )
        return Decision(refused=error)
    if held.value == value:
        return Decision()
    return Decision((PropertyCorrected(key=key, value=value, superseded=held.value),))


def _add_config(state: RunState, config: Mapping[str, Any], writer_id: str | None) -> Decision:
    plain = configs.check_new_config(config)
    wanted = configs.flattened(plain)
    conflicts = _config_conflicts(state, wanted)
    if conflicts:
        key, held_key = next(iter(conflicts.items()))
        held = state.config[held_key].value or ""
        error = ConfigConflict(state.run_id, key, wanted[key], held_key, held)
        refusals = (
            ChangeRefused(
                change=ConfigAdded.topic,
                key=key,
                held=state.config[held_key].value,
                refused=wanted[key],
                reason="key is held with another value",
            )
            for key, held_key in conflicts.items()
        )
        return _refuse(state, refusals, error, writer_id)
    if wanted.keys() <= state.config.keys():
        return Decision()
    return Decision((ConfigAdded(config=configs.json_text(plain)),))


def _config_conflicts(state: RunState, wanted: Mapping[str, str]) -> dict[str, str]:
    """The wanted keys that cannot be had, each with the held key that stands in the way."""
    inside: dict[str, str] = {}  # A held key, by each of the objects that it is in.
    for held_key in state.config:
        for outer in configs.above(held_key):
            inside.setdefault(outer, held_key)
    conflicts: dict[str, str] = {}
    for key, value in wanted.items():
        in_the_way: str | None
        if key in state.config:
            in_the_way = key if state.config[key].value != value else None
        else:
            around = (above for above in configs.above(key) if above in state.config)
            in_the_way = next(around, inside.get(key))
        if in_the_way is not None:
            conflicts[key] = in_the_way
    return conflicts


def _correct_config(state: RunState, command: CorrectConfig) -> Decision:
    check_reason(command.reason, "a correction")
    key = check_key(command.key, "config key")
    value = configs.check_leaf(command.value, key)
    held = state.config.get(key)
    if held is None:
        known = ", ".join(repr(key)[:80] for key in sorted(state.config)[:5]) or "none"
        error = InvalidInput(
            f"run {state.run_id} has no config key {key!r:.80} to correct; it has {known}"
        )
        return Decision(refused=error)
    if held.value == value:
        return Decision()
    return Decision((ConfigCorrected(key=key, value=value, superseded=held.value or ""),))


def _erase(state: RunState, command: EraseRun) -> Decision:
    check_reason(command.reason, "an erasure")
    if state.erased:
        return Decision()
    if state.status not in TERMINAL:
        error = InvalidInput(
            f"run {state.run_id} is {state.status}, and only runs that have ended can be erased; "
            "end it first with complete(), fail() or cancel()"
        )
        return Decision(refused=error)
    erased = RunErased(
        run_id=state.run_id,
        experiment_id=state.experiment_id,
        experiment_name=state.experiment_name,
        parent_id=state.parent_id,
        root_id=state.root_id,
        status=state.status,
        started_at=state.started_at,
        ended_at=state.ended_at,
    )
    return Decision((erased,))


def _change_status(state: RunState, command: ChangeStatus, writer_id: str | None) -> Decision:
    if (
        command.from_inside
        and command.status in TERMINAL
        and state.status is Status.CANCEL_REQUESTED
    ):
        command = ChangeStatus(Status.CANCELED)
    if state.status is command.status:
        return Decision()
    event = _status_event(command)
    if may_follow(state.status, command.status):
        return Decision((event,))
    refusal = ChangeRefused(
        change=event.topic,
        held=state.status,
        refused=command.status,
        reason="run has ended" if state.status in TERMINAL else "no such transition",
    )
    refused = RunEnded if state.status in TERMINAL else TransitionRefused
    error = refused(state.run_id, state.status, command.status)
    return _refuse(state, (refusal,), error, writer_id)


def _end(state: RunState, command: ChangeStatus, writer_id: str | None) -> Decision:
    if state.status in TERMINAL:
        return Decision()
    if state.status is Status.CANCEL_REQUESTED:
        command = ChangeStatus(Status.CANCELED)
    return _change_status(state, command, writer_id)


def _request_cancel(state: RunState, writer_id: str | None) -> Decision:
    executes = state.status not in TERMINAL and state.status is not Status.QUEUED
    asked = Status.CANCEL_REQUESTED if executes else Status.CANCELED
    return _change_status(state, ChangeStatus(asked), writer_id)


def _lose(state: RunState, command: LoseRun) -> Decision:
    if state.status in TERMINAL or state.status is Status.QUEUED:
        return Decision()
    if state.status is Status.CANCEL_REQUESTED:
        return Decision((RunCanceled(),))
    error = {"code": LOST, "message": check_text(command.message, "error")}
    return Decision((RunLost(error=error, evidence=dict(command.evidence)),))


def _find(state: RunState) -> Decision:
    if state.before_loss is None:
        return Decision()
    return Decision((RunFound(status=state.before_loss.status),))


def _resume(state: RunState, command: ResumeRun) -> Decision:
    check_reason(command.reason, "a resumption")
    if state.submitted:
        error = InvalidInput(
            f"run {state.run_id} was submitted, so its script would have to begin again; submit it "
            "again instead of resuming it"
        )
        return Decision(refused=error)
    return Decision((RunResumed(),) if state.status in TERMINAL else ())


def _rewind(step: object) -> Decision:
    if isinstance(step, bool) or not isinstance(step, int):
        raise InvalidType(
            f"the step to rewind to must be an int, got {type(step).__name__} {step!r:.80}"
        )
    if step not in STEPS:
        raise InvalidInput(f"the step to rewind to is {step}; steps have 64 bits")
    return Decision((RunRewound(step=step),))


def _record_environment(state: RunState, environment: Mapping[str, Any]) -> Decision:
    plain = configs.check_config(environment)
    if state.environment is not None and dict(state.environment) == plain:
        return Decision()
    return Decision((EnvironmentRecorded(environment=plain),))


def _alert(state: RunState, command: Alert) -> Decision:
    if command.level not in ALERT_LEVELS:
        raise InvalidInput(
            f"an alert cannot have the level {command.level!r:.80}; it takes one of "
            f"{', '.join(ALERT_LEVELS)}"
        )
    title, text = (
        check_new_key(command.title, "title"),
        check_text(command.text, "text of an alert"),
    )
    if command.found_by is not None and any(
        (alert.title, alert.found_by) == (title, command.found_by) for alert in state.alerts
    ):
        return Decision()
    return Decision((RunAlerted(title=title, text=text, level=command.level),))


def _status_event(command: ChangeStatus) -> Event:
    match command.status:
        case Status.RUNNING:
            return RunStarted()
        case Status.COMPLETED:
            return RunCompleted()
        case Status.FAILED:
            given = (command.error or {}).items()
            error = {check_key(key, "error key"): check_text(text, "error") for key, text in given}
            return RunFailed(error=error)
        case Status.CANCELED:
            return RunCanceled()
        case Status.CANCEL_REQUESTED:
            return RunCancelRequested()
        case _:
            detail = _optional_text(command.detail, "detail")
            return RunStatusChanged(status=command.status, detail=detail)


def _add_artifacts(state: RunState, command: AddArtifacts, writer_id: str | None) -> Decision:
    artifacts = {
        check_key(name, "file name", FILE_NAME_MAX_CHARS): _checked(artifact, name)
        for name, artifact in command.artifacts.items()
    }
    fresh = artifacts.keys() - state.artifacts.keys()
    for name, other in clashes(fresh, state.artifacts).items():
        raise InvalidInput(
            f"run {state.run_id} cannot have the files {name!r} and {other!r}: one would be a "
            "file and a folder when they are downloaded; choose another name"
        )
    taken = [
        name
        for name, artifact in artifacts.items()
        if name in state.artifacts and state.artifacts[name]._replace(pruned=False) != artifact
    ]
    if not taken or command.replace:
        return Decision(
            tuple(
                ArtifactAdded(
                    name=name,
                    sha256=artifact.sha256,
                    nbytes=artifact.nbytes,
                    uri=artifact.uri,
                    replaces=state.artifacts[name].content if name in taken else None,
                )
                for name, artifact in artifacts.items()
                if state.artifacts.get(name) != artifact
            )
        )
    error = ChangeRefusedError(
        f"run {state.run_id} already has a file {taken[0]!r} with other content "
        f"({_described(state.artifacts[taken[0]])}); files never change: "
        "upload it under another name"
    )
    refusals = (
        ChangeRefused(
            change=ArtifactAdded.topic,
            key=name,
            held=state.artifacts[name].content,
            refused=artifacts[name].content,
            reason="file name is taken",
        )
        for name in taken
    )
    return _refuse(state, refusals, error, writer_id)


def _described(artifact: Artifact) -> str:
    if artifact.sha256 is not None:
        return f"sha256 {artifact.sha256[:12]}..."
    return f"at {artifact.uri!r:.80}"


def _checked(artifact: Artifact, name: str) -> Artifact:
    """The artifact as it is added. Raises InvalidInput for a reference that cannot be kept."""
    if artifact.uri is None:
        return artifact._replace(pruned=False)
    return artifact._replace(uri=check_reference(artifact.uri, name), pruned=False)


def check_reference(uri: object, name: str) -> str:
    """The URI of a file by reference; `name` is the file's.

    Raises InvalidInput if it is no URI, or has a user or password.
    """
    uri = check_key(uri, f"URI of {name!r:.80}", FILE_NAME_MAX_CHARS)
    if _SCHEME.match(uri) is None:
        raise InvalidInput(
            f"{name!r:.80} cannot refer to {uri!r:.80}: it is no URI; give one with its scheme, "
            "such as s3://bucket/key or file:///folder/file"
        )
    if _USER_INFO.match(uri) is not None:
        raise InvalidInput(
            f"the URI of {name!r:.80} has a user or password, which the log would keep for good; "
            "leave it out"
        )
    return uri


def _prune_artifacts(state: RunState, command: PruneArtifacts) -> Decision:
    check_reason(command.reason, "the pruning of files")
    held = {name: state.artifacts[name] for name in command.names if name in state.artifacts}
    return Decision(
        tuple(
            ArtifactPruned(name=name, sha256=artifact.sha256)
            for name, artifact in held.items()
            if not artifact.pruned
        )
    )


def _keep_snapshot(state: RunState, command: KeepSnapshot, writer_id: str | None) -> Decision:
    if state.snapshot_id is None:
        taken = SnapshotTaken(
            snapshot_id=command.snapshot_id,
            manifest_sha256=command.manifest_sha256,
            files=command.files,
            nbytes=command.nbytes,
        )
        return Decision((taken,))
    refusal = ChangeRefused(
        change=SnapshotTaken.topic,
        held=state.snapshot_id,
        refused=command.snapshot_id,
        reason="run has a snapshot",
    )
    error = ChangeRefusedError(
        f"Cannot take snapshot as the run already has one: run {state.run_id} has "
        f"{state.snapshot_id}; start a new run to take another"
    )
    return _refuse(state, (refusal,), error, writer_id)


def _refuse(
    state: RunState,
    refusals: Iterable[ChangeRefused],
    error: ChangeRefusedError,
    writer_id: str | None,
) -> Decision:
    """The error, with the refusals that are not yet recorded for this writer."""
    fresh = tuple(
        refusal
        for refusal in refusals
        if Refusal(writer_id, refusal.change, refusal.key, refusal.refused) not in state.refusals
    )
    return Decision(fresh, error)
