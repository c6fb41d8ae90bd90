"""How a script would be run, as data: `RunConfiguration` and what it is made of."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from runlore.configuration import values
from runlore.configuration.conda_dependencies import CondaDependencies
from runlore.configuration.environment import Environment

_BACKENDS = ("nccl", "gloo")


@dataclass
class MpiConfiguration:
    """Processes by MPI."""

    process_count_per_node: int = 1
    node_count: int = 1

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        values.positive(self.process_count_per_node, "process_count_per_node of MPI")
        values.positive(self.node_count, "node_count of MPI")


@dataclass
class PyTorchConfiguration:
    """Ranks of a PyTorch job; without `process_count` there is one on each node."""

    communication_backend: str = "nccl"
    process_count: int | None = None
    node_count: int = 1

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        backend = values.text(self.communication_backend, "communication_backend of PyTorch")
        if backend.lower() not in _BACKENDS:
            raise values.refusal(
                "communication_backend of PyTorch", "'Nccl' or 'Gloo'", backend, "choose one"
            )
        self.communication_backend = backend.lower()
        if self.process_count is not None:
            values.positive(self.process_count, "process_count of PyTorch")
        values.positive(self.node_count, "node_count of PyTorch")


@dataclass
class TensorflowConfiguration:
    """Workers and parameter servers of a TensorFlow job."""

    worker_count: int = 1
    parameter_server_count: int = 1

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        values.positive(self.worker_count, "worker_count of TensorFlow")
        servers = self.parameter_server_count
        if servers != 0:
            values.positive(servers, "parameter_server_count of TensorFlow")


@dataclass
class DockerConfiguration:
    """Whether a script would run in a container, and with which options."""

    use_docker: bool = False
    shared_volumes: bool = True
    arguments: list[str] = field(default_factory=list)
    shm_size: str | None = "2g"


@dataclass
class HistoryConfiguration:
    """What is kept of a run: its outputs, a snapshot of its source, and which other folders."""

    output_collection: bool = True
    snapshot_project: bool = True
    directories_to_watch: list[str] = field(default_factory=lambda: ["logs"])


class RunConfiguration:
    """A script, its arguments, where and in which environment it would run.

    Every attribute can be changed afterwards; `environment_variables` win over those of the
    environment. A configuration that was loaded keeps what its file says beyond these attributes.
    """

    def __init__(
        self,
        script: str | None = None,
        arguments: Sequence[object] | None = None,
        framework: str | None = None,
        communicator: str | None = None,
        conda_dependencies: CondaDependencies | None = None,
        _history_enabled: bool | None = None,
        _path: str | None = None,
        _name: str | None = None,
        command: Sequence[object] | str | None = None,
    ) -> None:
        self.script = None if script is None else values.path(script, "script")
        self.arguments = values.texts(arguments or [], "arguments")
        self.framework = framework or "Python"
        self.communicator = communicator or "None"
        self.command = values.command(command, "command")
        self.target = "local"
        self.environment = Environment("default-environment")
        if conda_dependencies is not None:
            self.environment.python.conda_dependencies = conda_dependencies
        self.environment_variables: dict[str, str] = {}
        self.node_count = 1
        self.priority: int | None = None
        self.max_run_duration_seconds: int | None = None
        self.history = HistoryConfiguration(output_collection=_history_enabled is not False)
        self.mpi = MpiConfiguration()
        self.pytorch = PyTorchConfiguration()
        self.tensorflow = TensorflowConfiguration()
        self.docker = DockerConfiguration()
        self._path, self._name = _path, _name
        self._kept: dict[object, object] = {}  # what a file says that runlore has no name for

    @property
    def target(self) -> str:
        """The name of the compute target; a target object can be set, too."""
        return self._target

    @target.setter
    def target(self, target: object) -> None:
        name = target if isinstance(target, str) else getattr(target, "name", None)
        if not isinstance(name, str) or not name:
            raise values.refusal(
                "the compute target", "a ComputeTarget or its name", target, 'pass "local", say'
            )
        self._target = name

    def save(
        self,
        path: str | os.PathLike[str] | None = None,
        name: str | None = None,
        separate_environment_yaml: bool = False,
    ) -> None:
        """Writes `<path>/.azureml/<name>`, or the file `path`, with the conda file it names.

        A conda file that is there is kept. Without arguments it goes where it was loaded from.

        Raises:
            RunConfigurationFileNotFound: there is no such folder, or no `.azureml` in it.
            RunConfigurationException: a value is not what it must be, or there is no name.
        """
        # Imported here: it loads PyYAML, which most processes never need.
        from runlore.configuration import file as runconfig_file

        runconfig_file.save(self, path, name, separate_environment_yaml)

    @staticmethod
    def load(
        path: str | os.PathLike[str] | None = None, name: str | None = None
    ) -> RunConfiguration:
        """Reads `<path>/.azureml/<name>` (`.runconfig` may be left out), or the file `path`.

        Warns about what the file asks for and runlore does not do; all of it is kept for `save`.

        Raises:
            RunConfigurationFileNotFound: with the places that were looked at.
            RunConfigurationException: with the file, the key, what was found and expected.
        """
        from runlore.configuration import file as runconfig_file

        return runconfig_file.load(RunConfiguration(), path, name)

    def _checked(self) -> RunConfiguration:
        """A deep copy to submit or save, every value checked: attributes can be set to anything."""
        from runlore.configuration import content as runconfig_content

        checked = copy.deepcopy(self)
        runconfig_content.check(checked)
        return checked

    def __repr__(self) -> str:
        where = f"target={self.target!r}, environment={self.environment.name!r}"
        if self.command is not None:
            return f"RunConfiguration(command={self.command!r}, {where})"
        return f"RunConfiguration(script={self.script!r}, arguments={self.arguments!r}, {where})"
