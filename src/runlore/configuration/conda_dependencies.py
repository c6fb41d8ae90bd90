"""`CondaDependencies`, as data: runlore records it and installs nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from runlore.exceptions import RunConfigurationException

_PYTHON = re.compile(r"python\s*=\s*([\w.*]+)")
_NAME = re.compile(r"[A-Za-z0-9._-]*")


class CondaDependencies:
    """Channels and packages of a conda environment, as lists.

    Raises RunConfigurationException if the file is not a conda environment, and
    RunConfigurationFileNotFound if it does not exist.
    """

    def __init__(self, conda_dependencies_file_path: str | os.PathLike[str] | None = None) -> None:
        self.python_version = ""
        self.channels: list[str] = []
        self.conda_packages: list[str] = []
        self.pip_packages: list[str] = []
        self.pip_options: list[str] = []
        self._others: dict[object, object] = {}
        if conda_dependencies_file_path is not None:
            # Imported here: most processes never need PyYAML.
            from runlore.configuration import yaml_file

            path = Path(conda_dependencies_file_path)
            self._take(yaml_file.read_mapping(path), str(path))

    @staticmethod
    def from_content(content: dict[object, object], source: str) -> CondaDependencies:
        """Dependencies from the content of a conda file; errors name the `source`."""
        dependencies = CondaDependencies()
        dependencies._take(content, source)
        return dependencies

    @staticmethod
    def create(
        pip_indexurl: str | None = None,
        pip_packages: Sequence[str] | None = None,
        conda_packages: Sequence[str] | None = None,
        python_version: str = "",
        pin_sdk_version: bool = True,
    ) -> CondaDependencies:
        """Dependencies from lists of packages."""
        dependencies = CondaDependencies()
        if pip_indexurl:
            dependencies.set_pip_option(f"--find-links {pip_indexurl}")
        for package in pip_packages or ():
            dependencies.add_pip_package(package)
        for package in conda_packages or ():
            dependencies.add_conda_package(package)
        dependencies.python_version = python_version or dependencies.python_version
        return dependencies

    @property
    def conda_channels(self) -> list[str]:
        """The channels, under Azure's second name for them."""
        return self.channels

    def add_pip_package(self, pip_package: str) -> None:
        """Adds a package that pip would install, in place of another version of it."""
        self.remove_pip_package(pip_package)
        self.pip_packages.append(pip_package)

    def remove_pip_package(self, pip_package: str) -> None:
        """Removes a package in any version."""
        name = _name_of(pip_package)
        self.pip_packages[:] = [kept for kept in self.pip_packages if _name_of(kept) != name]

    def add_conda_package(self, conda_package: str) -> None:
        """Adds a package that conda would install; `python=...` sets the version of Python."""
        if python := _PYTHON.fullmatch(conda_package):
            self.python_version = python[1]
        elif conda_package not in self.conda_packages:
            self.conda_packages.append(conda_package)

    def add_tensorflow_conda_package(
        self, core_type: str = "cpu", version: str | None = None
    ) -> None:
        """Adds TensorFlow for the CPU or, with `core_type="gpu"`, for a GPU."""
        package = "tensorflow" if core_type == "cpu" else "tensorflow-gpu"
        self.add_conda_package(package if version is None else f"{package}={version}")

    def add_tensorflow_pip_package(
        self, core_type: str = "cpu", version: str | None = None
    ) -> None:
        """Adds TensorFlow as a package of pip."""
        package = "tensorflow" if core_type == "cpu" else "tensorflow-gpu"
        self.add_pip_package(package if version is None else f"{package}=={version}")

    def remove_conda_package(self, conda_package: str) -> None:
        """Removes a package, given exactly as it was added."""
        self.conda_packages[:] = [kept for kept in self.conda_packages if kept != conda_package]

    def add_channel(self, channel: str) -> None:
        """Adds a channel of packages."""
        if channel not in self.channels:
            self.channels.append(channel)

    def remove_channel(self, channel: str) -> None:
        """Removes a channel of packages."""
        self.channels[:] = [kept for kept in self.channels if kept != channel]

    def set_python_version(self, version: str) -> None:
        """Sets the version of Python."""
        self.python_version = version

    def get_python_version(self) -> str | None:
        """The version of Python, or None for any."""
        return self.python_version or None

    def set_pip_option(self, pip_option: str) -> None:
        """Adds an option that pip would be given."""
        if pip_option not in self.pip_options:
            self.pip_options.append(pip_option)

    def set_pip_requirements(self, pip_requirements: Iterable[str]) -> None:
        """Replaces the packages for pip with the lines of a requirements file."""
        self.pip_packages.clear()
        for line in (line.strip() for line in pip_requirements):
            if line.startswith("-"):
                self.set_pip_option(line)
            elif line and not line.startswith("#"):
                self.pip_packages.append(line)

    def as_dict(self) -> dict[object, object]:
        """The content of a `conda_dependencies.yml`."""
        python = [f"python={self.python_version}"] if self.python_version else []
        for_pip = [*self.pip_options, *self.pip_packages]
        pip: list[object] = [{"pip": for_pip}] if for_pip else []
        return {
            **self._others,
            "channels": list(self.channels),
            "dependencies": [*python, *self.conda_packages, *pip],
        }

    def serialize_to_string(self) -> str:
        """The content as YAML."""
        from runlore.configuration import yaml_file

        return yaml_file.dump(self.as_dict())

    def save(self, path: str | os.PathLike[str]) -> str:
        """Writes the content to a file and returns its path."""
        from runlore.configuration import yaml_file

        if Path(path).is_dir():
            raise RunConfigurationException(f"{path} is a folder; give the path of a file in it")
        yaml_file.write_yaml(Path(path), self.as_dict())
        return os.fspath(path)

    def save_to_file(
        self, base_directory: str | os.PathLike[str], conda_file_path: str | None = None
    ) -> str:
        """Writes the content to a file in the folder and returns the path relative to it."""
        conda_file_path = conda_file_path or ".azureml/auto_conda_dependencies.yml"
        self.save(Path(base_directory, conda_file_path))
        return conda_file_path

    def _take(self, content: dict[object, object], source: str) -> None:
        """Fills this object from a conda file's content; keys that only conda reads are kept."""
        self._others = {
            key: held for key, held in content.items() if key not in ("channels", "dependencies")
        }
        self.channels = _texts(content.get("channels"), f"{source}: channels")
        for item in _list(content.get("dependencies"), f"{source}: dependencies"):
            if isinstance(item, dict) and set(item) == {"pip"}:
                packages = _texts(item["pip"], f"{source}: pip")
                self.pip_options += [line for line in packages if line.startswith("-")]
                self.pip_packages += [line for line in packages if not line.startswith("-")]
            else:
                self.add_conda_package(*_texts([item], f"{source}: dependencies"))


def _name_of(package: str) -> str:
    name = _NAME.match(package)
    return package if not name or not name[0] else re.sub(r"[-_.]+", "-", name[0]).lower()


def _list(value: object, what: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise RunConfigurationException(
            f"{what} must be a list, found {value!r:.80}; write one `- item` a line"
        )
    return value


def _texts(value: object, what: str) -> list[str]:
    items = _list(value, what)
    for item in items:
        if not isinstance(item, str):
            raise RunConfigurationException(
                f"{what} must hold strings such as `numpy=1.26`, found {item!r:.80}; correct it"
            )
    return [item for item in items if isinstance(item, str)]


CondaDependencies.__module__ = "runlore.conda_dependencies"  # Where users import it from.
