"""Names of the Azure ML SDK that runlore does not cover: any use raises OutOfScope."""

from __future__ import annotations

from typing import ClassVar, Final, NoReturn

from runlore.exceptions import OutOfScope, OutOfScopeAttribute

DATA_INSTEAD: Final = "read your data from paths; keep files with run.upload_file()"
MODEL_INSTEAD: Final = "keep models with run.upload_file() and find them by tags"


class UncoveredAttribute:
    """An attribute that Azure's objects have: reading it raises OutOfScope, and `hasattr` is False.

    `what` is the part of Azure ML that it belongs to, `instead` the advice.
    """

    def __init__(self, what: str, instead: str) -> None:
        self.what = what
        self.instead = instead

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, holder: object, owner: type | None = None) -> NoReturn:
        raise OutOfScopeAttribute(f"{self.what} ({self.name})", self.instead)


class _Uncovered(type):
    """A class of which every use raises OutOfScope; the message names the alternative."""

    what: str
    instead: str

    def __call__(cls, *args: object, **kwargs: object) -> NoReturn:
        raise OutOfScope(cls.what, cls.instead)

    def __getattr__(cls, name: str) -> NoReturn:
        if name.startswith("__"):  # Python, doctest and pickle probe for these.
            raise AttributeError(name)
        raise OutOfScope(f"{cls.what} ({cls.__name__}.{name})", cls.instead)


class Dataset(metaclass=_Uncovered):
    """Not covered: read your data from paths, and record its digest as a property."""

    what: ClassVar[str] = "datasets"
    instead: ClassVar[str] = "read your data from paths and record its digest as a property"


class Datastore(metaclass=_Uncovered):
    """Not covered: read your data from paths, and keep files with `run.upload_file()`."""

    what: ClassVar[str] = "datastores"
    instead: ClassVar[str] = DATA_INSTEAD


class Model(metaclass=_Uncovered):
    """Not covered: keep models with `run.upload_file()`, and find them by tags and properties."""

    what: ClassVar[str] = "a model registry"
    instead: ClassVar[str] = MODEL_INSTEAD


class Keyvault(metaclass=_Uncovered):
    """Not covered: read secrets from your environment; runlore keeps none."""

    what: ClassVar[str] = "Key Vault"
    instead: ClassVar[str] = "read secrets from your environment"


class _UncoveredCompute(metaclass=_Uncovered):
    what: ClassVar[str] = "machines of Azure"
    instead: ClassVar[str] = "attach a pool with ComputeTarget.attach(workspace, name, slots=2)"


class AksCompute(_UncoveredCompute):
    """Not covered: attach a pool on this machine."""


class BatchCompute(_UncoveredCompute):
    """Not covered: attach a pool on this machine."""


class ComputeInstance(_UncoveredCompute):
    """Not covered: attach a pool on this machine."""


class DatabricksCompute(_UncoveredCompute):
    """Not covered: attach a pool on this machine."""


class DsvmCompute(_UncoveredCompute):
    """Not covered: attach a pool on this machine."""


class HDInsightCompute(_UncoveredCompute):
    """Not covered: attach a pool on this machine."""


class KubernetesCompute(_UncoveredCompute):
    """Not covered: attach a pool on this machine."""


class RemoteCompute(_UncoveredCompute):
    """Not covered: attach a pool on this machine."""


class SynapseCompute(_UncoveredCompute):
    """Not covered: attach a pool on this machine."""
