"""`Environment`, as data: runs execute in the environment of the process that submits them."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from runlore.configuration.conda_dependencies import CondaDependencies
from runlore.exceptions import OutOfScope, RunConfigurationFileNotFound


class PythonSection:
    """The interpreter and packages that an environment asks for."""

    def __init__(self) -> None:
        self.user_managed_dependencies = True
        self.interpreter_path = "python"
        self.conda_dependencies = CondaDependencies()
        self.conda_dependencies_file: str | None = None
        self.base_conda_environment: str | None = None


@dataclass
class RegistryIdentity:
    """The identity with which Azure would ask a registry of images."""

    resource_id: str | None = None
    client_id: str | None = None


@dataclass
class ContainerRegistry:
    """Where an image would come from. A password is never saved."""

    address: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    registry_identity: RegistryIdentity | None = None


@dataclass
class DockerBuildContext:
    """A folder from which an image would be built."""

    location: str
    dockerfile_path: str = "Dockerfile"

    @classmethod
    def from_local_directory(
        cls, workspace: object, path: str | os.PathLike[str], dockerfile_path: str = "Dockerfile"
    ) -> DockerBuildContext:
        """A folder of this machine; it is not read."""
        return cls(os.fspath(path), dockerfile_path)


@dataclass
class SparkSection:
    """The packages that a Spark session would load."""

    repositories: list[str] = field(default_factory=list)
    packages: list[object] = field(default_factory=list)
    precache_packages: bool = True


@dataclass
class DockerSection:
    """The image that an environment asks for."""

    enabled: bool = False
    base_image: str | None = None
    base_dockerfile: str | None = None
    base_image_registry: ContainerRegistry = field(default_factory=ContainerRegistry)
    build_context: DockerBuildContext | None = None
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
        self.spark = SparkSection()
        self.inferencing_stack_version: str | None = None
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

    @staticmethod
    def from_dockerfile(
        name: str,
        dockerfile: str | os.PathLike[str],
        conda_specification: str | os.PathLike[str] | None = None,
        pip_requirements: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """An environment whose image would be built from a Dockerfile: its path, or its text."""
        environment = _with_packages(name, conda_specification, pip_requirements)
        environment.docker.base_dockerfile = os.fspath(dockerfile)
        return environment

    @staticmethod
    def from_docker_image(
        name: str,
        image: str,
        container_registry: ContainerRegistry | None = None,
        conda_specification: str | os.PathLike[str] | None = None,
        pip_requirements: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """An environment whose image is pulled by name."""
        environment = _with_packages(name, conda_specification, pip_requirements)
        environment.docker.base_image = image
        if container_registry is not None:
            environment.docker.base_image_registry = container_registry
        return environment

    @staticmethod
    def get(
        workspace: object, name: str, version: str | None = None, label: str | None = None
    ) -> Environment:
        """An environment of this name, without content: no workspace keeps any, curated or own."""
        return Environment(name, version)

    @staticmethod
    def list(workspace: object) -> dict[str, Environment]:
        """The registered environments: none, see `register`."""
        return {}

    def register(self, workspace: object) -> Environment:
        """A copy with a version, as Azure returns it.

        There is no registry: each submitted run records the environment that it is given.
        """
        registered = copy.deepcopy(self)
        registered.version = self.version or "1"
        return registered

    def build(self, workspace: object, image_build_compute: object = None) -> NoReturn:
        """Not covered: runs execute in the environment of the process that submits them."""
        raise OutOfScope("images", "install the packages, or submit from inside the image")

    build_local = build

    def clone(self, new_name: str) -> Environment:
        """A copy under another name, without a version."""
        cloned = copy.deepcopy(self)
        cloned.name, cloned.version = new_name, None
        return cloned

    def __repr__(self) -> str:
        return f"Environment(name={self.name!r}, version={self.version!r})"


def _with_packages(
    name: str,
    conda_specification: str | os.PathLike[str] | None,
    pip_requirements: str | os.PathLike[str] | None,
) -> Environment:
    if conda_specification is not None:
        return Environment.from_conda_specification(name, conda_specification)
    if pip_requirements is not None:
        return Environment.from_pip_requirements(name, pip_requirements)
    return Environment(name)


for _class in (
    PythonSection,
    DockerBuildContext,
    SparkSection,
    DockerSection,
    Environment,
):
    _class.__module__ = "runlore.environment"  # Where users import it from.
for _data in (RegistryIdentity, ContainerRegistry):
    _data.__module__ = "runlore.container_registry"
