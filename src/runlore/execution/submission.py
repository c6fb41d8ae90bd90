"""Submitting a run: recording it, and placing it on its compute target."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from runlore.azure.arguments import as_pairs
from runlore.azure.run_types import SCRIPT_RUN
from runlore.domain.compute_target import LOCAL
from runlore.domain.definition import Definition
from runlore.domain.errors import ChangeRefusedError
from runlore.domain.events import Event, RunSubmitted, SnapshotTaken
from runlore.domain.ids import check_run_id
from runlore.domain.run import (
    decide,
)
from runlore.domain.run_commands import (
    ChangeStatus,
    CreateRun,
)
from runlore.domain.status import Status
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.sources import git_properties_of, snapshot_of
from runlore.exceptions import ExperimentExecutionException
from runlore.execution.definitions import check_taken, definition_of
from runlore.execution.handover import digest_of
from runlore.execution.launch import environment_for
from runlore.execution.masking import WORDS, masked
from runlore.execution.targets.kinds import target_of
from runlore.storage.snapshots import copy_snapshot

if TYPE_CHECKING:
    from runlore.configuration.runconfig import RunConfiguration
    from runlore.engine.session import LiveSession
    from runlore.execution.targets.target import Target

_SEED_NAME_MAX_CHARS: Final = 230
_SOURCE_PROPERTIES: Final = ("azureml.git.", "mlflow.source.git.", "ContentSnapshotId")


class NewRun(NamedTuple):
    """The place of a run that is to be submitted; `run_id` is made up if it is None."""

    experiment_id: str
    experiment_name: str
    run_id: str | None = None
    parent: RunHandle | None = None
    tags: Mapping[str, Any] | None = None
    not_secret: Collection[str] = ()


class Changes(NamedTuple):
    """What a repeated run has otherwise than the earlier one; None for what stays."""

    target: str | None = None
    arguments: Sequence[str] | None = None


class _Submission(NamedTuple):
    """All parts of a submitted run, whether it is new or repeats another one."""

    target: str
    definition: Definition
    overrides: Mapping[str, str]
    snapshot: SnapshotTaken
    properties: Mapping[str, str | None]
    repeats: str | None = None


def submit(session: LiveSession, new: NewRun, config: RunConfiguration, source: Path) -> RunHandle:
    """Submit a run of a checked configuration's script in the source folder.

    Nothing is recorded if this raises ExperimentExecutionException, ComputeTargetException,
    SnapshotException or RunConfigurationException; see `Experiment.submit`.
    """
    run_id = _checked_id(session, new)
    submission = _configured(session, config, source, run_id, new.not_secret)
    return _submit(session, new, run_id, submission)


def submit_again(
    session: LiveSession, new: NewRun, earlier: RunHandle, changes: Changes | None = None
) -> RunHandle:
    """Submit a run of an earlier run's snapshot and definition, perhaps with some changes.

    Secrets come from this process's environment. Raises ExperimentExecutionException if one is
    missing, or if the earlier run was not submitted or is in another workspace, or if arguments
    are given for what is a command.
    """
    run_id = _checked_id(session, new)
    return _submit(session, new, run_id, _repeated(session, earlier, run_id, changes or Changes()))


def _checked_id(session: LiveSession, new: NewRun) -> str:
    """The run's id. Raises FolderMoved: its supervisor opens the workspace by its path."""
    if session.is_memory:
        raise ExperimentExecutionException(
            "a workspace in memory cannot hold submitted runs: their scripts are other processes; "
            "create one in a folder with Workspace.create('my-workspace')"
        )
    session.check_artifacts_found()
    session.require_held().folder.check_in_place()
    return check_run_id(_fresh_id(new.experiment_name) if new.run_id is None else new.run_id)


def _submit(session: LiveSession, new: NewRun, run_id: str, submission: _Submission) -> RunHandle:
    target = target_of(session, submission.target)
    target.check(submission.definition)
    command = CreateRun(
        run_id=run_id,
        experiment_id=new.experiment_id,
        experiment_name=new.experiment_name,
        status=Status.NOT_STARTED,
        parent_id=new.parent.id if new.parent else None,
        root_id=new.parent.state.root_id if new.parent else run_id,
        run_type=SCRIPT_RUN,
        target=submission.target,
        outputs=("outputs", *submission.definition.watched),
        tags=as_pairs(new.tags, "tag"),
        properties=submission.properties,
    )
    run = RunHandle(session, run_id)
    # Before anything is made: raises if the id is taken or a value is invalid.
    decide(run.refresh(), command, None)
    submitted = RunSubmitted(
        definition=submission.definition.document(), repeats=submission.repeats
    )
    digest = digest_of(
        run_id, submission.target, submitted.definition, submission.snapshot.manifest_sha256
    )
    environment = environment_for(submission.overrides, digest)
    events = (submission.snapshot, submitted)
    _place(run, command, events, target, environment, submission.definition)
    return run


def _place(
    run: RunHandle,
    command: CreateRun,
    events: Sequence[Event],
    target: Target,
    environment: Mapping[str, str],
    definition: Definition,
) -> None:
    placement = target.prepare(run.id, environment, definition)
    try:
        # Again, now that no other submission can take the id: announcing overwrites files.
        decide(run.refresh(), command, None)
        placement.announce()
        run.create(command, (*events, *target.recorded()))
    except BaseException:
        state = run.refresh()
        if state is None or not state.submitted:
            target.withdraw(run.id)
        placement.release()
        raise
    try:
        placement.place()
    except OSError as error:
        message = f"the supervisor could not be started: {error}"
        _record_failure(run, message)
        target.withdraw(run.id)
        raise ExperimentExecutionException(f"run {run.id} has failed: {message}", error) from error


def _record_failure(run: RunHandle, message: str) -> None:
    error = {"code": "SupervisorNotStarted", "message": message}
    try:
        run.change(ChangeStatus(Status.FAILED, error))
    except ChangeRefusedError:  # Another process was faster.
        return


def _configured(
    session: LiveSession,
    config: RunConfiguration,
    source: Path,
    run_id: str,
    not_secret: Collection[str],
) -> _Submission:
    if not source.is_dir():
        raise ExperimentExecutionException(
            f"source_directory {str(source)!r} is not a folder; pass the folder of the script"
        )
    target = target_of(session, config.target)  # Before anything is read: it may be unknown.
    target.check_workspace()
    variables = {**config.environment.environment_variables, **config.environment_variables}
    variables = {str(name): str(value) for name, value in variables.items()}
    given = definition_of(config, source, variables, here=target.executes_here)
    target.check(given)
    definition, overrides = masked(given, not_secret)
    artifacts = session.artifacts_of(run_id)
    taken = snapshot_of(
        source,
        artifacts,
        "; a submitted script executes in a copy of its source_directory, so it needs one",
    )
    if definition.script is not None:
        check_taken(artifacts, definition.script, taken.manifest_sha256, source)
    snapshot = SnapshotTaken(
        snapshot_id=taken.snapshot_id,
        manifest_sha256=taken.manifest_sha256,
        files=taken.files,
        nbytes=taken.nbytes,
    )
    properties: dict[str, str | None] = {
        **git_properties_of(source),
        "ContentSnapshotId": taken.snapshot_id,
    }
    return _Submission(config.target, definition, overrides, snapshot, properties)


def _repeated(
    session: LiveSession, earlier: RunHandle, run_id: str, changes: Changes
) -> _Submission:
    if earlier.session is not session:
        raise ExperimentExecutionException(
            f"run {earlier.id} is in another workspace; submit it again in its own"
        )
    state = earlier.fetch()
    if state.definition is None or state.snapshot_id is None or state.snapshot_manifest is None:
        raise ExperimentExecutionException(
            f"run {earlier.id} was not submitted, so there is no script to execute again; "
            "submit a ScriptRunConfig"
        )
    definition = Definition.model_validate(state.definition)
    words: dict[str, str] = {}
    if changes.arguments is not None and tuple(changes.arguments) != definition.arguments:
        definition, words = _with_arguments(earlier.id, definition, changes.arguments)
    missing = [name for name in definition.secret_variables if name not in os.environ]
    if missing:
        raise ExperimentExecutionException(
            f"run {earlier.id} was executed with {', '.join(missing)}, whose values are kept "
            "nowhere; set them in this process's environment and submit again"
        )
    if definition.secret_arguments and not words:
        raise ExperimentExecutionException(
            f"run {earlier.id} was executed with the arguments "
            f"{', '.join(definition.secret_arguments)}, whose values are kept nowhere; submit its "
            "script with them as a new ScriptRunConfig"
        )
    files = copy_snapshot(state.snapshot_manifest, earlier.artifacts, session.artifacts_of(run_id))
    snapshot = SnapshotTaken(
        snapshot_id=state.snapshot_id,
        manifest_sha256=state.snapshot_manifest,
        files=len(files),
        nbytes=sum(file.nbytes for file in files),
    )
    properties = {
        key: fact.value
        for key, fact in state.properties.items()
        if key.startswith(_SOURCE_PROPERTIES)
    }
    secrets = {name: os.environ[name] for name in definition.secret_variables}
    return _Submission(
        changes.target or state.target or LOCAL,
        definition,
        {**definition.environment_variables, **secrets, **words},
        snapshot,
        properties,
        repeats=earlier.id,
    )


def _with_arguments(
    run_id: str, definition: Definition, arguments: Sequence[str]
) -> tuple[Definition, dict[str, str]]:
    """The definition with other arguments for its script, and the words that are not recorded."""
    if definition.script is None:
        raise ExperimentExecutionException(
            f"run {run_id} executed a command, whose arguments are part of it; submit it again as "
            "it is, or submit another command"
        )
    given = definition.model_copy(update={"arguments": tuple(arguments), "secret_arguments": ()})
    recorded, variables = masked(given)
    kept = {"secret_variables": definition.secret_variables}
    words = {name: value for name, value in variables.items() if name == WORDS}
    return recorded.model_copy(update=kept), words


def _fresh_id(experiment: str) -> str:
    return f"{experiment[:_SEED_NAME_MAX_CHARS]}_{int(time.time())}_{os.urandom(4).hex()}"
