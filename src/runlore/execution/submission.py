"""From a configuration to a run that a supervisor executes."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from runlore.azure.arguments import as_pairs
from runlore.azure.run_types import SCRIPT_RUN
from runlore.configuration.script_run_config import ScriptRunConfig, get_run_config_from_script_run
from runlore.domain.definition import Definition, split_secrets
from runlore.domain.errors import ChangeRefusedError, InvalidType, UserError
from runlore.domain.events import Event, RunSubmitted, SnapshotTaken
from runlore.domain.ids import check_run_id
from runlore.domain.run import ChangeStatus, CreateRun, decide
from runlore.domain.status import Status
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.sources import git_properties_of, snapshot_of
from runlore.exceptions import (
    ExperimentExecutionException,
    RunConfigurationException,
)
from runlore.execution.launch import environment_for
from runlore.execution.targets.target import Placement, Target, target_of
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.file_lock import unlock
from runlore.storage.run_folder import RunFolder
from runlore.storage.snapshots import copy_snapshot, read_manifest

if TYPE_CHECKING:
    from runlore.configuration.runconfig import RunConfiguration
    from runlore.engine.session import LiveSession, Session

_SEED_NAME_MAX_CHARS: Final = 230


class _Submission(NamedTuple):
    """All that a submitted run is made of, whether it is new or repeats another one."""

    target: str
    definition: Definition
    overrides: Mapping[str, str]
    snapshot: SnapshotTaken
    properties: Mapping[str, str | None]
    repeats: str | None = None


def submit(
    session: Session,
    experiment_id: str,
    experiment_name: str,
    config: object,
    *,
    tags: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    parent: RunHandle | None = None,
) -> RunHandle:
    """Record a run and hand it to its compute target; see `Experiment.submit`."""
    session = session.writable()
    if session.is_memory:
        raise ExperimentExecutionException(
            "a workspace in memory cannot hold submitted runs: their scripts are other processes; "
            "create one in a folder with Workspace.create('my-workspace')"
        )
    run_id = check_run_id(_fresh_id(experiment_name) if run_id is None else run_id)
    if isinstance(config, RunHandle):
        submission = _repeated(session, config, run_id)
    elif isinstance(config, ScriptRunConfig):
        submission = _configured(session, config, run_id)
    else:
        raise InvalidType(
            f"submit takes a ScriptRunConfig or an earlier submitted run, got "
            f"{type(config).__name__} {config!r:.80}"
        )
    target = target_of(session, submission.target)
    command = CreateRun(
        run_id=run_id,
        experiment_id=experiment_id,
        experiment_name=experiment_name,
        status=Status.NOT_STARTED,
        parent_id=parent.id if parent else None,
        root_id=parent.state.root_id if parent else run_id,
        run_type=SCRIPT_RUN,
        target=submission.target,
        outputs=("outputs", *submission.definition.watched),
        tags=as_pairs(tags, "tag"),
        properties=submission.properties,
    )
    run = RunHandle(session, run_id)
    # Raises for what no run can have and for an id that is taken, before anything is made.
    decide(run.refresh(), command, None)
    submitted = RunSubmitted(
        definition=submission.definition.model_dump(mode="json"), repeats=submission.repeats
    )
    _place(session, run, command, (submission.snapshot, submitted), target, submission.overrides)
    return run


def _place(
    session: LiveSession,
    run: RunHandle,
    command: CreateRun,
    events: Sequence[Event],
    target: Target,
    overrides: Mapping[str, str],
) -> None:
    """The run's folder is locked before the run is recorded, so that nobody takes it for lost."""
    folder = RunFolder(session.require_files(), run.id)
    try:
        lock_fd = folder.make_and_lock()
    except OSError as error:
        raise ExperimentExecutionException(
            f"cannot make the folder {folder.root} in which the script would execute: "
            f"{error.strerror}; nothing was submitted",
            error,
        ) from error
    if lock_fd is None:
        raise ExperimentExecutionException(
            f"run id {run.id!r} is being used by another submission; leave run_id out"
        )
    placement = Placement(run.id, lock_fd, environment_for(overrides))
    try:
        # What another run of this id has there must stay as it is.
        decide(run.refresh(), command, None)
        target.announce(placement)
        run.create(command, (*events, *target.recorded()))
    except BaseException:
        state = run.refresh()
        if state is None or not state.submitted:
            target.withdraw(run.id)
            folder.remove()
        unlock(lock_fd)
        raise
    try:
        target.place(placement)
    except OSError as error:
        message = f"the supervisor could not be started: {error}"
        _record_failure(run, message)
        target.withdraw(run.id)
        folder.remove()
        raise ExperimentExecutionException(f"run {run.id} has failed: {message}", error) from error


def _record_failure(run: RunHandle, message: str) -> None:
    error = {"code": "SupervisorNotStarted", "message": message}
    try:
        run.change(ChangeStatus(Status.FAILED, error))
    except ChangeRefusedError:  # Somebody was faster.
        return


def _configured(session: LiveSession, config: ScriptRunConfig, run_id: str) -> _Submission:
    run_config = get_run_config_from_script_run(config)
    folder = Path(config.source_directory)
    if not folder.is_dir():
        raise ExperimentExecutionException(
            f"source_directory {str(folder)!r} is not a folder; give the folder of the script"
        )
    target_of(session, run_config.target)  # Raises if there is none, before anything is read.
    variables = {**run_config.environment.environment_variables, **run_config.environment_variables}
    overrides = {str(name): str(value) for name, value in variables.items()}
    definition = _definition(run_config, folder, overrides)
    artifacts = session.artifacts_of(run_id)
    taken = snapshot_of(
        folder,
        artifacts,
        "; a submitted script executes in a copy of its source_directory, so it needs one",
    )
    if definition.script is not None:
        _check_taken(artifacts, definition.script, taken.manifest_sha256, folder)
    snapshot = SnapshotTaken(
        snapshot_id=taken.snapshot_id,
        manifest_sha256=taken.manifest_sha256,
        files=taken.files,
        nbytes=taken.nbytes,
    )
    properties: dict[str, str | None] = {
        **git_properties_of(folder),
        "ContentSnapshotId": taken.snapshot_id,
    }
    return _Submission(run_config.target, definition, overrides, snapshot, properties)


def _repeated(session: LiveSession, run: RunHandle, run_id: str) -> _Submission:
    """What a run was executed with; secrets come from this process's environment."""
    if run.session is not session:
        raise ExperimentExecutionException(
            f"run {run.id} is of another workspace; submit it again in its own"
        )
    state = run.fetch()
    if state.definition is None or state.snapshot_id is None or state.snapshot_manifest is None:
        raise ExperimentExecutionException(
            f"run {run.id} was not submitted, so there is no script to execute again; "
            "submit a ScriptRunConfig"
        )
    definition = Definition.model_validate(state.definition)
    missing = [name for name in definition.secret_variables if name not in os.environ]
    if missing:
        raise ExperimentExecutionException(
            f"run {run.id} was executed with {', '.join(missing)}, whose values are kept nowhere; "
            "set them in this process's environment and submit again"
        )
    files = copy_snapshot(state.snapshot_manifest, run.artifacts, session.artifacts_of(run_id))
    snapshot = SnapshotTaken(
        snapshot_id=state.snapshot_id,
        manifest_sha256=state.snapshot_manifest,
        files=len(files),
        nbytes=sum(file.nbytes for file in files),
    )
    source = ("azureml.git.", "mlflow.source.git.", "ContentSnapshotId")
    properties = {k: held.value for k, held in state.properties.items() if k.startswith(source)}
    secrets = {name: os.environ[name] for name in definition.secret_variables}
    overrides = {**definition.environment_variables, **secrets}
    return _Submission(
        state.target or "local", definition, overrides, snapshot, properties, repeats=run.id
    )


def _definition(config: RunConfiguration, folder: Path, variables: Mapping[str, str]) -> Definition:
    if config.script and config.command:
        raise UserError("give script or command, not both: script is executed by Python")
    if not config.script and not config.command:
        raise ExperimentExecutionException(
            "there is nothing to execute: give ScriptRunConfig a script or a command"
        )
    script = _checked_script(config.script, folder) if config.script else None
    command: tuple[str, ...] | str | None = None
    if isinstance(config.command, str):
        command = config.command
    elif config.command:
        command = tuple(map(str, config.command))
        _check_program(command[0], folder)
    kept, secrets = split_secrets(variables)
    limit = config.max_run_duration_seconds
    definition = Definition(
        script=script,
        arguments=tuple(map(str, config.arguments)),
        command=command,
        interpreter=_interpreter(config.environment.python.interpreter_path),
        environment_variables=kept,
        secret_variables=secrets,
        max_run_duration_s=None if limit is None else float(limit),
        collect_outputs=config.history.output_collection,
        watched=_checked_folders(config.history.directories_to_watch),
    )
    return _distributed(definition, config)


def _distributed(definition: Definition, config: RunConfiguration) -> Definition:
    """How many processes, and how they learn their ranks; all of them on one machine."""
    kind = (config.communicator or "None").lower()
    framework = (config.framework or "Python").lower()
    if kind == "none" and framework not in ("tensorflow", "pytorch"):
        return definition
    if kind == "parameterserver" or (framework == "tensorflow" and kind == "none"):
        if kind == "none":
            return definition
        return definition.model_copy(
            update={
                "distribution": "tensorflow",
                "process_count": config.tensorflow.worker_count,
                "parameter_servers": config.tensorflow.parameter_server_count,
            }
        )
    if config.node_count != 1:
        raise RunConfigurationException(
            f"node_count is {config.node_count}; the targets of this machine have one node"
        )
    if kind in ("nccl", "gloo"):
        count = config.pytorch.process_count or config.node_count
        return definition.model_copy(update={"distribution": "pytorch", "process_count": count})
    if kind in ("mpi", "openmpi", "intelmpi"):
        count = config.mpi.process_count_per_node
        return definition.model_copy(update={"distribution": "mpi", "process_count": count})
    if kind == "none":
        return definition
    raise RunConfigurationException(
        f"communicator is {config.communicator!r}; it takes None, Nccl, Gloo, ParameterServer, "
        "OpenMpi or IntelMpi"
    )


def _checked_script(script: str, folder: Path) -> str:
    """The script's path below the folder, with '/' between its parts."""
    if "\0" in script:
        raise ExperimentExecutionException(f"script {script!r:.80} cannot be a path")
    path = folder / script
    inside = Path(os.path.normpath(path.absolute())).is_relative_to(
        os.path.normpath(folder.absolute())
    )
    if not inside:
        raise ExperimentExecutionException(
            f"script {script!r} is outside of source_directory {str(folder)!r}; "
            "The script should be inside the project folder"
        )
    if not path.is_file():
        raise ExperimentExecutionException(
            f"script path doesn't exist: there is no file {script!r} in source_directory "
            f"{str(folder.absolute())!r}. The script should be inside the project folder"
        )
    return PurePosixPath(os.path.relpath(path, folder)).as_posix()


def _check_taken(artifacts: ArtifactStore, script: str, manifest_sha256: str, folder: Path) -> None:
    names = {file.name for file in read_manifest(manifest_sha256, artifacts)}
    if script not in names:
        raise ExperimentExecutionException(
            f"script {script!r} is left out of the snapshot of {str(folder)!r} by its ignore file "
            "(.amlignore, else .gitignore); a run executes in a copy of the snapshot"
        )


def _check_program(program: str, folder: Path) -> None:
    """A program of the folder must be there and executable; others are looked up when it runs."""
    if not program.startswith(("./", "../")):
        return
    path = folder / program
    if not path.is_file():
        raise ExperimentExecutionException(
            f"command {program!r}: there is no such file in source_directory {str(folder)!r}"
        )
    if not os.access(path, os.X_OK):
        raise ExperimentExecutionException(
            f"command {program!r} is not executable; run `chmod +x {program}` in "
            f"{str(folder)!r}, or name its interpreter first (['bash', {program!r}])"
        )


def _interpreter(path: str | None) -> str:
    """The interpreter's path; "python" is the one that submits."""
    if path in (None, "", "python", "python3"):
        return sys.executable
    assert path is not None
    found = shutil.which(path)
    if found is None:
        raise RunConfigurationException(
            f"environment.python.interpreter_path is {path!r}: no such program; "
            f"leave it 'python' to use {sys.executable}"
        )
    return os.path.abspath(found)


def _checked_folders(folders: Iterable[str]) -> tuple[str, ...]:
    checked = []
    for folder in folders:
        parts = PurePosixPath(folder).parts
        if (
            not parts
            or parts[0] == "/"
            or ".." in parts
            or parts[0] in ("user_logs", "system_logs")
        ):
            raise RunConfigurationException(
                f"history.directories_to_watch holds {folder!r}; it takes folders below the source"
            )
        name = PurePosixPath(folder).as_posix()
        if name != "outputs":
            checked.append(name)
    return tuple(dict.fromkeys(checked))


def _fresh_id(experiment: str) -> str:
    return f"{experiment[:_SEED_NAME_MAX_CHARS]}_{int(time.time())}_{os.urandom(4).hex()}"
