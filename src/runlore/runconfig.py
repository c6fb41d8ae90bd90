"""How a script would be run, as data: `RunConfiguration` and what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from runlore.environment import Environment


@dataclass
class MpiConfiguration:
    """Processes by MPI."""

    process_count_per_node: int = 1
    node_count: int = 1


@dataclass
class PyTorchConfiguration:
    """Ranks of a PyTorch job."""

    communication_backend: str = "Nccl"
    process_count: int | None = None
    node_count: int = 1


@dataclass
class TensorflowConfiguration:
    """Workers and parameter servers of a TensorFlow job."""

    worker_count: int = 1
    parameter_server_count: int = 1


@dataclass
class DockerConfiguration:
    """Whether a script would run in a container, and with which options."""

    use_docker: bool = False
    shared_volumes: bool = True
    arguments: list[str] = field(default_factory=list)
    shm_size: str | None = None


class HistoryConfiguration:
    def __init__(self) -> None:
        self.output_collection = True
        self.snapshot_project = True
        self.directories_to_watch = ["logs"]


class RunConfiguration:
    """A script, its arguments, where and in which environment it would run."""

    def __init__(
        self,
        script: str | None = None,
        arguments: Sequence[str] | None = None,
        framework: str | None = None,
        communicator: str | None = None,
        conda_dependencies: object = None,
        _history_enabled: bool | None = None,
        command: Sequence[str] | str | None = None,
    ) -> None:
        self.script = script
        self.arguments = list(arguments or ())
        self.framework = framework or "Python"
        self.communicator = communicator or "None"
        self.command = command
        self.target = "local"
        self.environment = Environment("project_environment")
        self.environment_variables: dict[str, str] = {}
        self.node_count = 1
        self.max_run_duration_seconds: int | None = None
        self.mpi = MpiConfiguration()
        self.pytorch = PyTorchConfiguration()
        self.tensorflow = TensorflowConfiguration()
        self.history = HistoryConfiguration()
        self.docker = DockerConfiguration()
