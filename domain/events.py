"""What can happen: every event of the log, as a frozen, payload-only model.

An event is a past-tense fact with a stable `topic` and a `schema_version`. It holds only
its payload; where and when it happened (stream, version, position, time, writer) is the
envelope's, see `runlore.domain.fact`. The meaning of a stored event never changes: a new
shape gets the next schema version and an `upcast_v1_v2` on the stored dict, and the old
bytes stay in the tests.

Models validate on write. Reads fold the upcasted dicts (`upcast`) and build no models:
3 to 5 times faster, and an old reader can pass over what it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict

from runlore.domain.status import Status

State = dict[str, Any]


class Event(BaseModel):
    """Base of all events; subclasses state their `topic`, and fields that msgpack can hold."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        use_enum_values=True,
        defer_build=True,  # A process writes a few of the topics; validators of all take 8 MB.
    )

    topic: ClassVar[str]
    schema_version: ClassVar[int] = 1


# --- the workspace, the experiments, the writers ------------------------------------------


class WorkspaceCreated(Event):
    """The first event of a log: the workspace's identity.

    `erasable` says that what is kept of each run is sealed under a key of its own.
    """

    topic = "workspace.created"
    schema_version = 2

    workspace_id: str
    name: str
    subscription_id: str
    resource_group: str
    location: str
    tags: dict[str, str | None] = {}
    erasable: bool = False

    @staticmethod
    def upcast_v1_v2(state: State) -> None:
        """Version 1 knew of no erasure."""
        state["erasable"] = False


class WriterOpened(Event):
    """A process began to write: who, where, with which version. Said once, not per event."""

    topic = "writer.opened"

    actor: str
    host: str
    boot_id: str
    pid: int
    process: str
    client_version: str


class ExperimentCreated(Event):
    """A name that had no active experiment got one."""

    topic = "experiment.created"

    experiment_id: str
    name: str


class ExperimentArchived(Event):
    """The experiment is hidden from lists and its name is free again."""

    topic = "experiment.archived"

    experiment_id: str


class ExperimentReactivated(Event):
    """An archived experiment took its name back."""

    topic = "experiment.reactivated"

    experiment_id: str


class ExperimentTagSet(Event):
    """A tag of an experiment got a value; None is a key-only tag."""

    topic = "experiment.tag_set"

    experiment_id: str
    key: str
    value: str | None


class ExperimentTagRemoved(Event):
    """A tag of an experiment was taken away."""

    topic = "experiment.tag_removed"

    experiment_id: str
    key: str


class ComputeTargetAttached(Event):
    """A name stands for a place where submitted runs execute; again, it is changed."""

    topic = "compute_target.attached"

    name: str
    type: str
    settings: dict[str, Any]


class ComputeTargetDeleted(Event):
    """The name stands for no place any more."""

    topic = "compute_target.deleted"

    name: str


# --- runs -------------------------------------------------------------------------------


class RunCreated(Event):
    """A run began to exist, with all that is known at its birth, so that one event says it."""

    topic = "run.created"

    run_id: str
    experiment_id: str
    experiment_name: str
    status: Status
    parent_id: str | None = None
    root_id: str
    run_type: str | None = None
    target: str | None = None
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    outputs: tuple[str, ...] = ()
    tags: dict[str, str | None] = {}
    properties: dict[str, str | None] = {}


class RunSubmitted(Event):
    """The run is a script that a supervisor executes; `definition` is all that it needs for that.

    The keys of `definition` are those of `runlore.domain.definition.Definition`. Values of
    secret environment variables are not in it. `repeats` is the run whose snapshot and
    definition this one executes again.
    """

    topic = "run.submitted"

    definition: dict[str, Any]
    repeats: str | None = None


class RunStarted(Event):
    """The run's code began to execute: status Running."""

    topic = "run.started"


class RunStatusChanged(Event):
    """The run moved between statuses that are neither its start nor its end."""

    topic = "run.status_changed"

    status: Status
    detail: str | None = None


class RunCancelRequested(Event):
    """Somebody asked a run to stop; its own process has not stopped yet."""

    topic = "run.cancel_requested"


class RunCompleted(Event):
    """The run ended well."""

    topic = "run.completed"


class RunFailed(Event):
    """The run ended badly.

    `error` is the document of Azure ML's `get_details()["error"]["error"]`: `code` and, where
    known, `message`, `debug_type`, `debug_message`, `debug_stack_trace`.

    Version 1 held `code` and `message` side by side.
    """

    topic = "run.failed"
    schema_version = 2

    error: dict[str, str]

    @staticmethod
    def upcast_v1_v2(state: State) -> None:
        """Gathers version 1's `code` and `message` into the error document."""
        fields = ("code", "message")
        state["error"] = {
            key: value for key in fields if (value := state.pop(key, None)) is not None
        }


class RunCanceled(Event):
    """The run was stopped on request."""

    topic = "run.canceled"


class RunLost(Event):
    """The run's supervisor died without recording an end: the run has failed of it."""

    topic = "run.lost"

    error: dict[str, str]


class ScriptExited(Event):
    """A process of the submitted script ended: by itself (`exit_code`) or by a signal (its name).

    `rank` numbers the processes of a distributed script; a single one is 0.
    """

    topic = "run.script_exited"

    rank: int
    exit_code: int | None
    signal: str | None


class WarningAdded(Event):
    """Something about the run is not as asked, and does not stop it: who says so, and what."""

    topic = "run.warning_added"

    source: str
    message: str


class TagSet(Event):
    """A tag got a value, whatever it was before; None is a key-only tag."""

    topic = "run.tag_set"

    key: str
    value: str | None


class TagRemoved(Event):
    """A tag was taken away."""

    topic = "run.tag_removed"

    key: str


class PropertyAdded(Event):
    """A property got its value, for as long as nobody corrects it."""

    topic = "run.property_added"

    key: str
    value: str | None


class PropertyCorrected(Event):
    """A property got another value, as the one that it had was wrong; the reason is the envelope's.

    `superseded` is the value that the correction takes the place of.
    """

    topic = "run.property_corrected"

    key: str
    value: str | None
    superseded: str | None


class DisplayNameSet(Event):
    """The name that people see was set."""

    topic = "run.display_name_set"

    display_name: str


class DescriptionSet(Event):
    """The description (Markdown) was set."""

    topic = "run.description_set"

    description: str


class ArtifactAdded(Event):
    """A file was kept for the run under `name`; its bytes live in the artifact store."""

    topic = "run.artifact_added"

    name: str
    sha256: str
    nbytes: int


class SnapshotTaken(Event):
    """The source folder was kept; `manifest_sha256` names the artifact that lists its files."""

    topic = "run.snapshot_taken"

    snapshot_id: str
    manifest_sha256: str
    files: int
    nbytes: int


class ChangeRefused(Event):
    """A change that the run's state refused: what was asked, and why not.

    `change` is the topic that the change would have had, `key` the property or tag concerned,
    `held` what stood, `refused` what was asked.
    """

    topic = "run.change_refused"

    change: str
    key: str | None = None
    held: str | None = None
    refused: str | None = None
    reason: str


class ValuesLogged(Event):
    """A batch of values that one writer logged into one run.

    `first_seq` and `count` number the writer's records in this stream, so that a batch that
    is delivered twice, by whatever way, is known. `series` describes the blocks of the payload
    in order (see `runlore.storage.value_codec`) and can be read without unpacking it. The
    payload is inline, compressed with zstd, or, for large ones, elsewhere: `payload_ref` is
    then (uri, sha256, rows).
    """

    topic = "run.values_logged"

    writer_id: str
    first_seq: int
    count: int
    series: tuple[dict[str, Any], ...]
    payload: bytes | None = None
    payload_ref: tuple[str, str, int] | None = None


class RunErased(Event):
    """The key of the run's payloads and files was destroyed; the reason is the envelope's.

    The last event of its run, and the only one that is not sealed: what it says is what remains.
    """

    topic = "run.erased"

    run_id: str
    experiment_id: str
    experiment_name: str
    parent_id: str | None
    root_id: str
    status: Status
    started_at: int | None
    ended_at: int | None


def remains_of(erased: State) -> State:
    """What a `run.erased` leaves of its run's `run.created`: the same fields, and `erased`.

    `started_at` and `ended_at`, which other events had told, are there, too.
    """
    created = RunCreated(
        run_id=erased["run_id"],
        experiment_id=erased["experiment_id"],
        experiment_name=erased["experiment_name"],
        status=Status(erased["status"]),
        parent_id=erased["parent_id"],
        root_id=erased["root_id"],
    )
    times = {name: erased[name] for name in ("started_at", "ended_at")}
    return {**created.__dict__, **times, "erased": True}


EVENT_TYPES: Final[tuple[type[Event], ...]] = (
    WorkspaceCreated,
    WriterOpened,
    ExperimentCreated,
    ExperimentArchived,
    ExperimentReactivated,
    ExperimentTagSet,
    ExperimentTagRemoved,
    ComputeTargetAttached,
    ComputeTargetDeleted,
    RunCreated,
    RunSubmitted,
    RunStarted,
    RunStatusChanged,
    RunCancelRequested,
    RunCompleted,
    RunFailed,
    RunCanceled,
    RunLost,
    ScriptExited,
    WarningAdded,
    TagSet,
    TagRemoved,
    PropertyAdded,
    PropertyCorrected,
    DisplayNameSet,
    DescriptionSet,
    ArtifactAdded,
    SnapshotTaken,
    ChangeRefused,
    ValuesLogged,
    RunErased,
)

REGISTRY: Final[Mapping[str, type[Event]]] = MappingProxyType({t.topic: t for t in EVENT_TYPES})
"""The closed list of topics. Text from a log is only ever looked up here, never imported."""


def upcast(topic: str, version: int, state: State) -> State | None:
    """The stored `state` in the newest shape of its topic, changed in place.

    None if this runlore does not know the topic, or not this version of it: the event was
    written by a newer runlore, and is kept, hashed and passed over.
    """
    event_type = REGISTRY.get(topic)
    if event_type is None or version > event_type.schema_version or version < 1:
        return None
    while version < event_type.schema_version:
        step: Callable[[State], None] = getattr(event_type, f"upcast_v{version}_v{version + 1}")
        step(state)
        version += 1
    return state
