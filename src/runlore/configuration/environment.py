"""`Environment`, as data: runs execute in the environment of the process that submits them."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field
from pathlib import Path

from runlore.configuration.conda_dependencies import CondaDependencies
from runlore.exceptions import RunConfigurationFileNotFound


class PythonSection:
    """The interpreter and packages that an environment asks for."""

    def __init__(self) -> None:
        self.user_managed_dependencies = True
        self.interpreter_path = "python"
        self.conda_dependencies = CondaDependencies()
        self.conda_dependencies_file: str | None = None
        self.base_conda_environment: str | None = None


@dataclass
class DockerSection:
    """The image that an environment asks for."""

    enabled: bool = False
    base_image: str | None = None
    base_dockerfile: str | None = None
    shared_volumes: bool = True
    shm_size: str | None = None
    arguments: list[str] = field(default_factory=list)


class Environment:
    """A named environment: packages and variables, as data.

    `extra_keys` are the keys of a loaded file that have no attribute here; saving writes them.
    """

    def __init__(self, name: str | None, version: str | None = None) -> None:
        self.name = name
        self.version = version
        self.python = PythonSection()
        self.docker = DockerSection()
        self.environment_variables: dict[str, str] = {}
        self.extra_keys: dict[object, object] = {}

    @staticmethod
    def from_existing_conda_environment(name: str, conda_environment_name: str) -> Environment:
        """An environment that names a conda environment, without looking it up."""
        environment = Environment(name)
        environment.python.interpreter_path = conda_environment_name
        return environment

    @staticmethod
    def from_conda_specification(name: str, file_path: str | os.PathLike[str]) -> Environment:
        """An environment with the packages of a conda file."""
        environment = Environment(name)
        environment.python.conda_dependencies = CondaDependencies(file_path)
        return environment

    @staticmethod
    def from_pip_requirements(
        name: str, file_path: str | os.PathLike[str], pip_version: str | None = None
    ) -> Environment:
        """An environment with the packages of a pip requirements file."""
        try:
            lines = Path(file_path).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError as error:
            raise RunConfigurationFileNotFound(
                f"there is no requirements file {os.fspath(file_path)}; check the path"
            ) from error
        environment = Environment(name)
        environment.python.conda_dependencies.set_pip_requirements(lines)
        pip = f"pip={pip_version}" if pip_version else "pip"
        environment.python.conda_dependencies.add_conda_package(pip)
        return environment

    def clone(self, new_name: str) -> Environment:
        """A copy under another name, without a version."""
        cloned = copy.deepcopy(self)
        cloned.name, cloned.version = new_name, None
        return cloned

    def __repr__(self) -> str:
        return f"Environment(name={self.name!r}, version={self.version!r})"


for _class in (
    PythonSection,
    DockerSection,
    Environment,
):
    _class.__module__ = "runlore.environment"  # Where users import it from.
