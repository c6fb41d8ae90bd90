"""`Environment`, kept as data: runs execute in the environment of the process that starts them."""

from __future__ import annotations

from runlore.conda_dependencies import CondaDependencies


class PythonSection:
    """The interpreter and packages that an environment asks for."""

    def __init__(self) -> None:
        self.user_managed_dependencies = True
        self.interpreter_path = "python"
        self.conda_dependencies = CondaDependencies()


class Environment:
    """A named environment: packages and variables, as data."""

    def __init__(self, name: str, version: str | None = None) -> None:
        self.name = name
        self.version = version
        self.python = PythonSection()
        self.environment_variables: dict[str, str] = {}

    @staticmethod
    def from_existing_conda_environment(name: str, conda_environment_name: str) -> Environment:
        """An environment that names a conda environment; nothing is looked up."""
        environment = Environment(name)
        environment.python.interpreter_path = conda_environment_name
        return environment

    def __repr__(self) -> str:
        return f"Environment(name={self.name!r}, version={self.version!r})"
