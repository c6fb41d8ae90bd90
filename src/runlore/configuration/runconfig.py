"""How a script would run, as data: `RunConfiguration` and its parts."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runlore.configuration import content, values
from runlore.configuration.conda_dependencies import CondaDependencies
from runlore.configuration.environment import Environment, SparkSection
from runlore.engine.caller_warning import warn_caller

_BACKENDS = ("nccl", "gloo")


@dataclass
class MpiConfiguration:
    """Processes by MPI."""

    process_count_per_node: int = 1
    node_count: int = 1

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raises RunConfigurationException for an impossible value."""
        values.positive(self.process_count_per_node, "process_count_per_node of MPI")
        values.positive(self.node_count, "node_count of MPI")


@dataclass
class PyTorchConfiguration:
    """Ranks of a PyTorch job; without `process_count` there is one on each node."""

    communication_backend: str = "nccl"
    process_count: int | None = None
    node_count: int = 1

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raises RunConfigurationException for an impossible value."""
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
        self.check()

    def check(self) -> None:
        """Raises RunConfigurationException for an impossible value."""
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
    """The parts of a run to keep: outputs, a snapshot of the source, other folders."""

    output_collection: bool = True
    snapshot_project: bool = True
    directories_to_watch: list[str] = field(default_factory=lambda: ["logs"])


class RunConfiguration:
    """A script, its arguments, and where and in which environment it would run.

    Every attribute can be changed afterwards; `environment_variables` win over those of the
    environment. `extra_keys` are the keys of a loaded file that have no attribute here; `save`
    writes them again.
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
        # Azure's data and Spark: kept as they are given, and without an effect.
        self.data: dict[str, object] = {}
        self.data_references: dict[str, object] = {}
        self.output_data: dict[str, object] = {}
        self.auto_prepare_environment = True
        self._path, self._name = _path, _name
        self.extra_keys: dict[object, object] = {}

    @property
    def target(self) -> str:
        """The name of the compute target; can also be set to a target object."""
        return self._target

    @target.setter
    def target(self, target: object) -> None:
        name = target if isinstance(target, str) else getattr(target, "name", None)
        if not isinstance(name, str) or not name:
            raise values.refusal(
                "the compute target", "a ComputeTarget or its name", target, 'for example "local"'
            )
        self._target = name

    def save(
        self,
        path: str | os.PathLike[str] | None = None,
        name: str | None = None,
        separate_environment_yaml: bool = False,
    ) -> None:
        """Writes `<path>/.azureml/<name>`, or the file `path`, with the conda file it names.

        An existing conda file is kept. Without arguments, writes to the file it was loaded from.

        Raises:
            RunConfigurationFileNotFound: the folder does not exist, or has no `.azureml`.
            RunConfigurationException: a value has the wrong type, or the name is missing.
        """
        # Imported here: it loads PyYAML, which most processes never need.
        from runlore.configuration import file as runconfig_file

        place = runconfig_file.place_of(Path(path or self._path or Path.cwd()), name, self._name)
        checked = self.checked()
        python = checked.environment.python
        python.conda_dependencies_file = (
            python.conda_dependencies_file or f"{place.prefix}conda_dependencies.yml"
        )
        runconfig_file.save_conda_dependencies(
            python.conda_dependencies, python.conda_dependencies_file, place
        )
        runconfig_file.write(place, content.content_of(checked), separate_environment_yaml)

    @staticmethod
    def load(
        path: str | os.PathLike[str] | None = None, name: str | None = None
    ) -> RunConfiguration:
        """Reads `<path>/.azureml/<name>` (`.runconfig` may be left out), or the file `path`.

        Without a path, in the working folder: a file of somebody else's is refused there, unless
        its folder is trusted (`runlore trust`).

        Warns about the features that the file asks for and runlore does not have; their keys are
        kept for `save`.

        Raises:
            RunConfigurationFileNotFound: with the places that were searched.
            RunConfigurationException: with the file, the key, and the values found and expected.
        """
        from runlore.configuration import file as runconfig_file

        base = Path(path or Path.cwd())
        loaded = runconfig_file.read(base, name, is_named=path is not None)
        run_config = RunConfiguration(
            _path=str(base), _name=None if loaded.file == base else loaded.file.name
        )
        if unused := content.take(run_config, loaded.content, str(loaded.file)):
            warn_caller(
                f"{loaded.file} asks for features that runlore does not have: {', '.join(unused)}; "
                "they are kept in the configuration, and the script runs in processes of this "
                "machine, in the environment of the submitting process"
            )
        python, extra = (
            run_config.environment.python,
            run_config.environment.extra_keys.get("python"),
        )
        inline = extra.pop("condaDependencies", None) if isinstance(extra, dict) else None
        python.conda_dependencies = runconfig_file.conda_dependencies_of(
            loaded, inline, python.conda_dependencies_file
        )
        return run_config

    @staticmethod
    def delete(path: str | os.PathLike[str], name: str) -> None:
        """Removes the file `<path>/.azureml/<name>`. Raises RunConfigurationFileNotFound."""
        from runlore.configuration import file as runconfig_file

        runconfig_file.remove(Path(path), name)

    @property
    def without_effect(self) -> list[str]:
        """The settings of Azure that were given and that nothing here obeys."""
        return [name for name in ("data", "data_references", "output_data") if getattr(self, name)]

    @property
    def spark(self) -> SparkSection:
        """The environment's packages for Spark."""
        return self.environment.spark

    def checked(self) -> RunConfiguration:
        """A deep copy with every value checked: attributes can be set to anything."""
        checked = copy.deepcopy(self)
        content.check(checked)
        return checked

    def __repr__(self) -> str:
        where = f"target={self.target!r}, environment={self.environment.name!r}"
        if self.command is not None:
            return f"RunConfiguration(command={self.command!r}, {where})"
        return f"RunConfiguration(script={self.script!r}, arguments={self.arguments!r}, {where})"


for _class in (
    MpiConfiguration,
    PyTorchConfiguration,
    TensorflowConfiguration,
    DockerConfiguration,
    HistoryConfiguration,
    RunConfiguration,
):
    _class.__module__ = "runlore.runconfig"  # Where users import it from.
