"""A script to submit, as data: `ScriptRunConfig`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from runlore.configuration import values
from runlore.configuration.environment import Environment
from runlore.configuration.runconfig import (
    DockerConfiguration,
    MpiConfiguration,
    PyTorchConfiguration,
    RunConfiguration,
    TensorflowConfiguration,
)
from runlore.domain.errors import UserError
from runlore.engine.caller_warning import warn_caller
from runlore.exceptions import RunConfigurationException

_Job = MpiConfiguration | PyTorchConfiguration | TensorflowConfiguration


@dataclass
class _Own:
    """The settings that win over a run configuration which others may share."""

    script: str | None = None
    arguments: list[str] = field(default_factory=list)
    command: str | list[str] | None = None


class ScriptRunConfig:
    """A script in a folder, its arguments, and the configuration it would run with.

    Its own script, arguments and command win over those of a given `run_config`, which is shared,
    not copied, and never changed from here. All can be set afterwards; `submit` takes a copy.
    """

    MAX_DURATION_SECONDS_DEFAULT = 2592000

    def __init__(
        self,
        source_directory: str | os.PathLike[str],
        script: str | None = None,
        arguments: Sequence[object] | None = None,
        run_config: RunConfiguration | None = None,
        _telemetry_values: object = None,
        compute_target: object = None,
        environment: Environment | None = None,
        distributed_job_config: object = None,
        resume_from: object = None,
        max_run_duration_seconds: int | None = MAX_DURATION_SECONDS_DEFAULT,
        command: Sequence[object] | str | None = None,
        docker_runtime_config: DockerConfiguration | None = None,
    ) -> None:
        if not isinstance(source_directory, (str, os.PathLike)):
            raise values.refusal(
                "source_directory", "the path of a folder", source_directory, 'for example "."'
            )
        if resume_from is not None:
            raise UserError(
                "resume_from takes a DataPath, which runlore does not cover; read the checkpoint "
                "from a path, or from another run with run.download_file()"
            )
        _check_types(run_config, environment, distributed_job_config, docker_runtime_config)
        self.source_directory = os.fspath(source_directory)
        self._run_config = run_config or RunConfiguration()
        self._own: _Own | RunConfiguration = self._run_config if run_config is None else _Own()
        self.script, self.arguments, self.command = script, arguments, command
        _refuse_two(self.script, self.arguments, self.command)
        if run_config is not None:
            given = {
                "compute_target": compute_target,
                "environment": environment,
                "distributed_job_config": distributed_job_config,
                "docker_runtime_config": docker_runtime_config,
            }
            _warn_of_ignored(given, max_run_duration_seconds)
            return
        self.run_config.target = "local" if compute_target is None else compute_target
        self.run_config.environment = environment or self.run_config.environment
        self.run_config.docker = docker_runtime_config or self.run_config.docker
        self.max_run_duration_seconds = max_run_duration_seconds
        if isinstance(distributed_job_config, _Job):
            _distribute(self.run_config, distributed_job_config)

    @property
    def run_config(self) -> RunConfiguration:
        """Where and how the script would run; setting another one keeps script and arguments."""
        return self._run_config

    @run_config.setter
    def run_config(self, run_config: RunConfiguration) -> None:
        if run_config is None:
            to_do = "pass RunConfiguration() to begin with"
            raise values.refusal("run_config", "a RunConfiguration", run_config, to_do)
        _check_types(run_config, None, None, None)
        self._own = _Own(self.script, self.arguments, self.command)
        self._run_config = run_config

    @property
    def script(self) -> str | None:
        """The script's path, relative to the source directory."""
        return self._own.script or (None if self._own.command else self.run_config.script)

    @script.setter
    def script(self, script: str | None) -> None:
        self._own.script = None if script is None else values.path(script, "script")

    @property
    def arguments(self) -> list[str]:
        """The script's arguments."""
        return self._own.arguments or ([] if self._own.command else self.run_config.arguments)

    @arguments.setter
    def arguments(self, arguments: Sequence[object] | None) -> None:
        self._own.arguments = [] if arguments is None else values.texts(arguments, "arguments")

    @property
    def command(self) -> str | list[str] | None:
        """The command to run instead of a script: a text for the shell, or a list of words."""
        return self._own.command or (None if self._own.script else self.run_config.command)

    @command.setter
    def command(self, command: Sequence[object] | str | None) -> None:
        self._own.command = values.command(command, "command")

    @property
    def compute_target(self) -> str:
        """The name of the compute target; can also be set to a target object."""
        return self.run_config.target

    @compute_target.setter
    def compute_target(self, target: object) -> None:
        self.run_config.target = target

    @property
    def max_run_duration_seconds(self) -> int | None:
        """The time after which the run is canceled, or None."""
        return self.run_config.max_run_duration_seconds

    @max_run_duration_seconds.setter
    def max_run_duration_seconds(self, seconds: int | None) -> None:
        if seconds is not None:
            seconds = values.positive(seconds, "max_run_duration_seconds")
        self.run_config.max_run_duration_seconds = seconds

    def __repr__(self) -> str:
        what = f"command={self.command!r}" if self.command else f"script={self.script!r}"
        return f"ScriptRunConfig({self.source_directory!r}, {what}, target={self.compute_target!r})"


def get_run_config_from_script_run(script_run_config: ScriptRunConfig) -> RunConfiguration:
    """A checked deep copy of the run configuration, with the own script, arguments and command.

    Raises RunConfigurationException if an attribute has an impossible value, and
    UserErrorException if both a script and a command are given.
    """
    run_config = script_run_config.run_config.checked()
    run_config.script = script_run_config.script
    run_config.arguments = list(script_run_config.arguments)
    run_config.command = script_run_config.command
    _refuse_two(run_config.script, run_config.arguments, run_config.command)
    if unused := run_config.without_effect:
        warn_caller(
            f"run_config.{', run_config.'.join(unused)} has no effect: read your data from paths"
        )
    return run_config.checked()


def _refuse_two(script: object, arguments: object, command: object) -> None:
    for name, other in (("script", script), ("arguments", arguments)):
        if command and other:
            raise UserError(
                f"{name} and command cannot be used together, found {name}={other!r:.80} and "
                f"command={command!r:.80}; leave out one of them"
            )


def _check_types(run_config: object, environment: object, job: object, docker: object) -> None:
    if run_config is not None and not isinstance(run_config, RunConfiguration):
        to_do = "read a file with RunConfiguration.load(path, name)"
        raise values.refusal("run_config", "a RunConfiguration", run_config, to_do)
    if environment is not None and not isinstance(environment, Environment):
        to_do = 'for example Environment("name")'
        raise values.refusal("environment", "an Environment", environment, to_do)
    if job is not None and not isinstance(job, _Job):
        raise RunConfigurationException(
            "distributed_job_config must be a Mpi-, PyTorch- or TensorflowConfiguration, got "
            f"{type(job).__name__}; for example PyTorchConfiguration(process_count=2)"
        )
    if docker is not None and not isinstance(docker, DockerConfiguration):
        to_do = "pass DockerConfiguration(), or leave it out"
        raise values.refusal("docker_runtime_config", "a DockerConfiguration", docker, to_do)


def _warn_of_ignored(given: dict[str, object], max_run_duration_seconds: int | None) -> None:
    ignored = [name for name, value in given.items() if value is not None]
    if max_run_duration_seconds != ScriptRunConfig.MAX_DURATION_SECONDS_DEFAULT:
        ignored.append("max_run_duration_seconds")
    if ignored:
        warn_caller(
            f"run_config was given, so {', '.join(ignored)} is ignored; set it on run_config: "
            "run_config.target, .environment, .max_run_duration_seconds, .mpi, .docker"
        )


def _distribute(run_config: RunConfiguration, job: _Job) -> None:
    job.check()  # its attributes may have changed since it was made
    match job:
        case TensorflowConfiguration():
            run_config.tensorflow, run_config.node_count = job, job.worker_count
            run_config.framework, run_config.communicator = "TensorFlow", "ParameterServer"
        case MpiConfiguration():
            run_config.mpi, run_config.node_count = job, job.node_count
            run_config.framework, run_config.communicator = "Python", "IntelMpi"
        case PyTorchConfiguration():
            run_config.pytorch, run_config.node_count = job, job.node_count
            run_config.framework, run_config.communicator = "PyTorch", job.communication_backend


ScriptRunConfig.__module__ = "runlore.script_run_config"  # Where users import it from.
