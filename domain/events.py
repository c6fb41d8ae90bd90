"""All events of the log, as frozen records of their payloads.

An event is a past-tense fact with a stable `topic` and a `schema_version`. Where and when it
happened (stream, version, position, time, writer) is in the envelope, see
`runlore.domain.fact`. The meaning of a stored event never changes: a new
shape gets the next schema version and an `upcast_v1_v2` on the stored dict, and the old
bytes stay in the tests.

Events are validated on write (`runlore.domain.event`). Reads fold the upcast dicts (`upcast`) and
build no events: that is 3 to 5 times faster, and an old reader can skip unknown events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from runlore.domain.event import Event as Event
from runlore.domain.status import Status

Payload = dict[str, Any]


LOG_VERSION: Final = 2
"""The newest version of a log that this runlore knows."""

# --- the workspace, the experiments, the writers ------------------------------------------


class WorkspaceCreated(Event):
    """The first event of a log: the workspace's identity.

    If `erasable`, each run's payloads and files are encrypted with a key of their own.
    """

    topic = "workspace.created"
    schema_version = 2
    log_versions = (1, 1)

    workspace_id: str
    name: str
    subscription_id: str
    resource_group: str
    location: str
    tags: dict[str, str | None] = {}
    erasable: bool = False

    @staticmethod
    def upcast_v1_v2(state: Payload) -> None:
        """Version 1 had no erasure."""
        state["erasable"] = False


class WorkspaceAdopted(Event):
    """A copied folder became a workspace of its own, with a new id; `origin_id` is the old one.

    `note` says where the copy was found, for people.
    """

    topic = "workspace.adopted"
    log_versions = (2,)

    workspace_id: str
    origin_id: str
    note: str


class TablesPublished(Event):
    """Tables for queries, made from the log up to a position, are an artifact to start from.

    `tables` says of which version they are: other versions of runlore or of DuckDB cannot use them.
    """

    topic = "workspace.tables_published"

    position: int
    tables: str
    sha256: str
    nbytes: int


class FilesPlaced(Event):
    """The workspace's administrator says where the files of its runs are: an absolute URI.

    It is text of the log: who reads the workspace goes there only after trusting the place.
    """

    topic = "workspace.files_placed"

    uri: str


class WriterOpened(Event):
    """A process began to write: who, where, with which version. Recorded once per process.

    `process` is the name of the script, `program` its whole path where that is known. The process
    started at `started_at` by the host's clock (µs since 1970 UTC), as the user `uid`; `machine_id`
    names the host for longer than a boot.
    """

    topic = "writer.opened"
    schema_version = 2
    log_versions = (1, 1)

    actor: str
    host: str
    boot_id: str
    pid: int
    process: str
    client_version: str
    started_at: int | None = None
    uid: int | None = None
    machine_id: str | None = None
    program: str | None = None

    @staticmethod
    def upcast_v1_v2(state: Payload) -> None:
        """Version 1 did not tell a process id that was used again from the first."""
        state.update(started_at=None, uid=None, machine_id=None, program=None)


class ExperimentCreated(Event):
    """An experiment was created; no other active one had its name."""

    topic = "experiment.created"

    experiment_id: str
    name: str


class ExperimentArchived(Event):
    """The experiment was hidden from lists, and its name became free."""

    topic = "experiment.archived"

    experiment_id: str


class ExperimentReactivated(Event):
    """An archived experiment got its name back."""

    topic = "experiment.reactivated"

    experiment_id: str


class ExperimentRenamed(Event):
    """An experiment got another name; recorded in the streams of both names, in this order.

    `previous` is the old name. The tags and the time of creation go along, so that the stream of
    the new name says all about the experiment.
    """

    topic = "experiment.renamed"
    log_versions = (2,)

    experiment_id: str
    name: str
    previous: str
    created_at: int
    tags: dict[str, str | None] = {}


class ExperimentTagSet(Event):
    """A tag of an experiment was set; None is a key-only tag."""

    topic = "experiment.tag_set"

    experiment_id: str
    key: str
    value: str | None


class ExperimentTagRemoved(Event):
    """A tag of an experiment was removed."""

    topic = "experiment.tag_removed"

    experiment_id: str
    key: str


class ComputeTargetAttached(Event):
    """A name was given a place where submitted runs execute, or another place than before."""

    topic = "compute_target.attached"

    name: str
    type: str
    settings: dict[str, Any]


class ComputeTargetDeleted(Event):
    """The name was freed."""

    topic = "compute_target.deleted"

    name: str


class ViewSaved(Event):
    """A view of runs (its filter, columns, charts) was saved under a name, or saved anew.

    `definition` is a JSON document; its meaning belongs to whoever shows the view.
    """

    topic = "view.saved"

    name: str
    definition: dict[str, Any]


class ViewDeleted(Event):
    """A saved view was deleted."""

    topic = "view.deleted"

    name: str


# --- runs -------------------------------------------------------------------------------


class RunCreated(Event):
    """A run was created; one event holds all that is known of it at that time.

    `config` is a JSON object. The caller may say when the run began (`given_at`, µs since 1970
    UTC) and whose it is (`given_user`), as for a run that another tracker recorded. A run that has
    not `begun` is Running, as Azure ML has it, but no process executes it yet: `run.started` says
    when the first one did.
    """

    topic = "run.created"
    schema_version = 2
    log_versions = (1, 2)

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
    config: str = "{}"
    given_at: int | None = None
    given_user: str | None = None
    begun: bool = True

    @staticmethod
    def upcast_v1_v2(state: Payload) -> None:
        """Version 1 had properties only, and the writer's clock; all runs counted as begun."""
        state.update(config="{}", given_at=None, given_user=None, begun=True)


class RunSubmitted(Event):
    """The run is a script for a supervisor to execute, as its `definition` says.

    The keys of `definition` are those of `runlore.domain.definition.Definition`. It has
    no values of secret environment variables. `repeats` is the id of the run whose snapshot and
    definition are executed again.
    """

    topic = "run.submitted"

    definition: dict[str, Any]
    repeats: str | None = None


class RunPlaced(Event):
    """An engine took the run: `handle` is the engine's name for it, such as the id of a job."""

    topic = "run.placed"

    handle: str


class RunStarted(Event):
    """The run's code began to execute; its status became Running.

    `began_at` (µs since 1970 UTC, by the clock of the process that executes the run) is given if
    that was before the event was recorded.
    """

    topic = "run.started"
    schema_version = 2
    log_versions = (1, 2)

    began_at: int | None = None

    @staticmethod
    def upcast_v1_v2(state: Payload) -> None:
        """Version 1 was recorded at once."""
        state["began_at"] = None


class RunStatusChanged(Event):
    """The run got a status that is neither its start nor its end."""

    topic = "run.status_changed"

    status: Status
    detail: str | None = None


class RunCancelRequested(Event):
    """Someone asked the run to stop; its process has not stopped yet."""

    topic = "run.cancel_requested"


class RunCompleted(Event):
    """The run succeeded."""

    topic = "run.completed"


class RunFailed(Event):
    """The run failed.

    `error` is the document of Azure ML's `get_details()["error"]["error"]`: `code` and, where
    known, `message`, `debug_type`, `debug_message`, `debug_stack_trace`.

    Version 1 held `code` and `message` side by side.
    """

    topic = "run.failed"
    schema_version = 2
    log_versions = (1, 1)

    error: dict[str, str]

    @staticmethod
    def upcast_v1_v2(state: Payload) -> None:
        """Moves `code` and `message` of version 1 into the error document."""
        fields = ("code", "message")
        state["error"] = {
            key: value for key in fields if (value := state.pop(key, None)) is not None
        }


class RunCanceled(Event):
    """The run was stopped on request."""

    topic = "run.canceled"


class RunLost(Event):
    """The run's process or supervisor died without recording an end: the run counts as failed.

    `evidence` says how that is known, such as the writer, its host and its free lock.
    """

    topic = "run.lost"
    schema_version = 2
    log_versions = (1, 2)

    error: dict[str, str]
    evidence: dict[str, str | int | None] = {}

    @staticmethod
    def upcast_v1_v2(state: Payload) -> None:
        """Version 1 had its evidence in the error's message."""
        state["evidence"] = {}


class RunFound(Event):
    """A run that counted as lost was heard again: the loss is undone, and it has this status."""

    topic = "run.found"
    log_versions = (2,)

    status: Status


class RunResumed(Event):
    """A run that had ended goes on; the reason is in the envelope."""

    topic = "run.resumed"
    log_versions = (2,)


class RunRewound(Event):
    """The run went back to a step: values of later steps that were logged before are void.

    As of an earlier position they are read as ever.
    """

    topic = "run.rewound"
    log_versions = (2,)

    step: int


class RunArchived(Event):
    """The run was hidden from lists; it can be read and written as before."""

    topic = "run.archived"
    log_versions = (2,)


class RunReactivated(Event):
    """An archived run is in lists again."""

    topic = "run.reactivated"
    log_versions = (2,)


class ScriptExited(Event):
    """A process of the submitted script ended, with an `exit_code` or by a `signal` (its name).

    `rank` numbers the processes of a distributed script; a single one is 0.
    """

    topic = "run.script_exited"

    rank: int
    exit_code: int | None
    signal: str | None


class WarningAdded(Event):
    """The run deviates from the request but goes on: who reports it, and the text."""

    topic = "run.warning_added"

    source: str
    message: str


class TagSet(Event):
    """A tag was set or replaced; None is a key-only tag."""

    topic = "run.tag_set"

    key: str
    value: str | None


class TagRemoved(Event):
    """A tag was removed."""

    topic = "run.tag_removed"

    key: str


class PropertyAdded(Event):
    """A property got its value, which only a correction can change."""

    topic = "run.property_added"

    key: str
    value: str | None


class PropertyCorrected(Event):
    """A wrong value of a property was replaced; the reason is in the envelope.

    `superseded` is the old value.
    """

    topic = "run.property_corrected"

    key: str
    value: str | None
    superseded: str | None


class ConfigAdded(Event):
    """The run's config got keys; `config` is a JSON object.

    Keys get their value once, as properties do.
    """

    topic = "run.config_added"
    log_versions = (2,)

    config: str


class ConfigCorrected(Event):
    """A wrong value in the config was replaced; the reason is in the envelope.

    `key` is flattened, see `runlore.domain.config`. `value` and `superseded` are JSON.
    """

    topic = "run.config_corrected"
    log_versions = (2,)

    key: str
    value: str
    superseded: str


class DisplayNameSet(Event):
    """The display name was set."""

    topic = "run.display_name_set"

    display_name: str


class DescriptionSet(Event):
    """The description (Markdown) was set."""

    topic = "run.description_set"

    description: str


class ArtifactAdded(Event):
    """A file was added to the run as `name`; its content is in the artifact store, or at `uri`.

    A file by reference has its digest and size where they are known. `replaces` is the digest, or
    else the URI, of the earlier content of the name, which is kept.
    """

    topic = "run.artifact_added"
    schema_version = 2
    log_versions = (1, 2)

    name: str
    sha256: str | None
    nbytes: int | None
    uri: str | None = None
    replaces: str | None = None

    @staticmethod
    def upcast_v1_v2(state: Payload) -> None:
        """In version 1 all contents were in the artifact store, and none was replaced."""
        state.update(uri=None, replaces=None)


class ArtifactPruned(Event):
    """The content of a file was given up to save space; its name and digest remain.

    The reason is in the envelope.
    """

    topic = "run.artifact_pruned"
    log_versions = (2,)

    name: str
    sha256: str | None


class EnvironmentRecorded(Event):
    """The surroundings of the run: program, arguments, commit, host, packages and the like.

    `environment` is a JSON document.
    """

    topic = "run.environment_recorded"

    environment: dict[str, Any]


class RunAlerted(Event):
    """The run asks for attention; `level` is info, warning or error."""

    topic = "run.alerted"

    title: str
    text: str
    level: str


class SnapshotTaken(Event):
    """The source folder was stored; `manifest_sha256` is the artifact that lists its files."""

    topic = "run.snapshot_taken"

    snapshot_id: str
    manifest_sha256: str
    files: int
    nbytes: int


class ChangeRefused(Event):
    """The run's state refused a change, for this `reason`.

    `change` is the topic that the change would have had, `key` its property, tag or file, `held`
    the current value and `refused` the requested one.
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
    is delivered twice is recognized. `series` describes the blocks of the payload in order (see
    `runlore.storage.value_codec`) and can be read without unpacking it. The payload is inline,
    compressed with zstd; a large one may be elsewhere: `payload_ref` is then (uri, sha256, rows).
    """

    topic = "run.values_logged"

    writer_id: str
    first_seq: int
    count: int
    series: tuple[dict[str, Any], ...]
    payload: bytes | None = None
    payload_ref: tuple[str, str, int] | None = None


class RunErased(Event):
    """The key of the run's payloads and files was destroyed; the reason is in the envelope.

    The run's last event, and the only one in plain text: only its fields remain of the run.
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


def remains_of(erased: Payload) -> Payload:
    """The payload of `run.created` that is left after a `run.erased`, with `erased` set.

    It also has `started_at` and `ended_at`, which came from other events.
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
    WorkspaceAdopted,
    TablesPublished,
    FilesPlaced,
    WriterOpened,
    ExperimentCreated,
    ExperimentArchived,
    ExperimentReactivated,
    ExperimentRenamed,
    ExperimentTagSet,
    ExperimentTagRemoved,
    ComputeTargetAttached,
    ComputeTargetDeleted,
    ViewSaved,
    ViewDeleted,
    RunCreated,
    RunSubmitted,
    RunPlaced,
    RunStarted,
    RunStatusChanged,
    RunCancelRequested,
    RunCompleted,
    RunFailed,
    RunCanceled,
    RunLost,
    RunFound,
    RunResumed,
    RunRewound,
    RunArchived,
    RunReactivated,
    ScriptExited,
    WarningAdded,
    TagSet,
    TagRemoved,
    PropertyAdded,
    PropertyCorrected,
    ConfigAdded,
    ConfigCorrected,
    DisplayNameSet,
    DescriptionSet,
    ArtifactAdded,
    ArtifactPruned,
    SnapshotTaken,
    EnvironmentRecorded,
    RunAlerted,
    ChangeRefused,
    ValuesLogged,
    RunErased,
)

REGISTRY: Final[Mapping[str, type[Event]]] = MappingProxyType({t.topic: t for t in EVENT_TYPES})
"""All topics. Text from a log is only looked up here, never imported."""


def log_version_of(topic: str, version: int) -> int:
    """The log's version that a reader must know for a topic's schema version.

    Of a newer runlore's topic or version, that is not known here: 1.
    """
    event_type = REGISTRY.get(topic)
    if event_type is None or not 1 <= version <= event_type.schema_version:
        return 1
    return event_type.log_versions[version - 1]


def upcast(topic: str, version: int, state: Payload) -> Payload | None:
    """The stored `state` in its topic's newest version, changed in place.

    None if this runlore does not know the topic or the version: a newer runlore wrote the event,
    which is kept, hashed and skipped.
    """
    event_type = REGISTRY.get(topic)
    if event_type is None or version > event_type.schema_version or version < 1:
        return None
    while version < event_type.schema_version:
        step: Callable[[Payload], None] = getattr(event_type, f"upcast_v{version}_v{version + 1}")
        step(state)
        version += 1
    return state
