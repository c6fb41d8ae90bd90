"""`CondaDependencies`, kept as data: runlore records it and installs nothing."""

from __future__ import annotations

from collections.abc import Sequence


class CondaDependencies:
    """Channels and packages of a conda environment, as lists."""

    def __init__(self) -> None:
        self.python_version = ""
        self.channels: list[str] = []
        self.conda_packages: list[str] = []
        self.pip_packages: list[str] = []

    @staticmethod
    def create(
        pip_packages: Sequence[str] | None = None,
        conda_packages: Sequence[str] | None = None,
        python_version: str = "",
        pin_sdk_version: bool = True,
    ) -> CondaDependencies:
        """Dependencies from lists of packages."""
        dependencies = CondaDependencies()
        dependencies.pip_packages.extend(pip_packages or ())
        dependencies.conda_packages.extend(conda_packages or ())
        dependencies.python_version = python_version
        return dependencies

    def add_pip_package(self, pip_package: str) -> None:
        """Adds a package that pip would install."""
        self.pip_packages.append(pip_package)

    def add_conda_package(self, conda_package: str) -> None:
        """Adds a package that conda would install."""
        self.conda_packages.append(conda_package)

    def add_channel(self, channel: str) -> None:
        """Adds a channel of packages."""
        self.channels.append(channel)

    def set_python_version(self, version: str) -> None:
        """Sets the version of Python."""
        self.python_version = version

    def as_dict(self) -> dict[str, object]:
        """The content of a `conda_dependencies.yml`."""
        python = [f"python={self.python_version}"] if self.python_version else []
        pip: list[object] = [{"pip": list(self.pip_packages)}] if self.pip_packages else []
        return {
            "channels": list(self.channels),
            "dependencies": [*python, *self.conda_packages, *pip],
        }
