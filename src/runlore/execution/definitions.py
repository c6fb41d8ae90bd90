"""From a run configuration to the definition that its run is executed with, all of it checked."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from runlore.domain.definition import SUPERVISORS_OWN, Definition
from runlore.domain.errors import UserError
from runlore.exceptions import ExperimentExecutionException, RunConfigurationException
from runlore.storage.snapshots import read_manifest

if TYPE_CHECKING:
    from runlore.configuration.runconfig import RunConfiguration
    from runlore.storage.artifacts import ArtifactStore


def definition_of(
    config: RunConfiguration, source: Path, variables: Mapping[str, str], *, here: bool = True
) -> Definition:
    """The definition of a run of the configuration's script or command in the source folder.

    It holds secrets, which are masked before it is recorded (see `masking`). If the run does not
    execute `here`, its interpreter is one of the other host.

    Raises ExperimentExecutionException for a script or command that cannot be executed, and
    RunConfigurationException for a configuration that this machine cannot run.
    """
    if config.script and config.command:
        raise UserError("pass script or command, not both: script is executed by Python")
    if not config.script and not config.command:
        raise ExperimentExecutionException(
            "there is nothing to execute: pass a script or a command to ScriptRunConfig"
        )
    script = _checked_script(config.script, source) if config.script else None
    command = config.command or None
    if command is not None and not isinstance(command, str):
        _check_program(str(command[0]), source)
        command = " ".join(map(str, command))  # A line for the shell, as in Azure ML.
    limit = config.max_run_duration_seconds
    definition = Definition(
        script=script,
        arguments=tuple(map(str, config.arguments)),
        command=command,
        interpreter=_interpreter(config.environment.python.interpreter_path, here),
        environment_variables=dict(variables),
        max_run_duration_s=None if limit is None else float(limit),
        collect_outputs=config.history.output_collection,
        watched=_checked_folders(config.history.directories_to_watch),
        node_count=_node_count(config.node_count),
    )
    return _distributed(definition, config)


def _distributed(definition: Definition, config: RunConfiguration) -> Definition:
    """The definition with its number of processes and the way they learn their ranks."""
    kind = (config.communicator or "None").lower()
    framework = (config.framework or "Python").lower()
    if kind == "parameterserver":
        return definition.model_copy(
            update={
                "distribution": "tensorflow",
                "process_count": config.tensorflow.worker_count,
                "parameter_servers": config.tensorflow.parameter_server_count,
                "node_count": 1,  # Azure counts a node for each process; all are on one here.
            }
        )
    if kind == "none" and framework != "pytorch":
        return definition
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
    """The script's path relative to the folder, with '/' between its parts."""
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


def check_taken(artifacts: ArtifactStore, script: str, manifest_sha256: str, folder: Path) -> None:
    """Raises ExperimentExecutionException if the snapshot of the folder lacks the script."""
    names = {file.name for file in read_manifest(manifest_sha256, artifacts)}
    if script not in names:
        raise ExperimentExecutionException(
            f"script {script!r} is left out of the snapshot of {str(folder)!r} by its ignore file "
            "(.amlignore, else .gitignore); a run executes in a copy of the snapshot"
        )


def _check_program(program: str, folder: Path) -> None:
    """Raises if a program of the folder cannot be executed; others are looked up at the start."""
    if not program.startswith(("./", "../")):
        return
    path = folder / program
    if not path.is_file():
        raise ExperimentExecutionException(
            f"command {program!r}: the file does not exist in source_directory {str(folder)!r}"
        )
    if not os.access(path, os.X_OK):
        raise ExperimentExecutionException(
            f"command {program!r} is not executable; run `chmod +x {program}` in "
            f"{str(folder)!r}, or name its interpreter first (['bash', {program!r}])"
        )


def _node_count(count: object) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise RunConfigurationException(
            f"node_count is {count!r:.80}; it takes a whole number from 1"
        )
    return count


def _interpreter(path: str | None, here: bool) -> str:
    """The interpreter's path; "python" is that of the submitting process, or of a supervisor."""
    if path in (None, "", "python", "python3"):
        return sys.executable if here else SUPERVISORS_OWN
    assert path is not None
    if not here:
        return path
    found = shutil.which(path)
    if found is None:
        raise RunConfigurationException(
            f"environment.python.interpreter_path is {path!r}, which is not a program; "
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
