"""What to submit, as data: `ScriptRunConfig`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from runlore.domain.errors import UserError
from runlore.environment import Environment
from runlore.exceptions import RunConfigurationException
from runlore.runconfig import (
    DockerConfiguration,
    MpiConfiguration,
    PyTorchConfiguration,
    RunConfiguration,
    TensorflowConfiguration,
)

_DISTRIBUTED = (MpiConfiguration, PyTorchConfiguration, TensorflowConfiguration)


class ScriptRunConfig:
    """A script in a folder, its arguments, and the configuration it would run with."""

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
        max_run_duration_seconds: int = 2592000,
        command: Sequence[str] | str | None = None,
        docker_runtime_config: DockerConfiguration | None = None,
    ) -> None:
        if distributed_job_config is not None and not isinstance(
            distributed_job_config, _DISTRIBUTED
        ):
            raise RunConfigurationException(
                "distributed_job_config must be a Mpi-, PyTorch- or TensorflowConfiguration, got "
                f"{type(distributed_job_config).__name__}"
            )
        if resume_from is not None:
            raise UserError(
                "resume_from takes a DataPath, which runlore does not cover; read the checkpoint "
                "from a path, or from another run with run.download_file()"
            )
        self.source_directory = os.fspath(source_directory)
        self.script = script
        self.arguments = [str(argument) for argument in arguments or ()]
        self.command = command
        self.compute_target = compute_target
        self.distributed_job_config = distributed_job_config
        self.max_run_duration_seconds = max_run_duration_seconds
        self.run_config = run_config or RunConfiguration(script, self.arguments, command=command)
        self.run_config.target = str(getattr(compute_target, "name", compute_target or "local"))
        self.run_config.max_run_duration_seconds = max_run_duration_seconds
        if environment is not None:
            self.run_config.environment = environment
        if docker_runtime_config is not None:
            self.run_config.docker = docker_runtime_config
