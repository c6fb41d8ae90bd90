"""Names of the Azure ML SDK that runlore does not cover: any use raises OutOfScope."""

from __future__ import annotations

from typing import ClassVar, NoReturn

from runlore.exceptions import OutOfScope


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
    instead: ClassVar[str] = "read your data from paths; keep files with run.upload_file()"


class Model(metaclass=_Uncovered):
    """Not covered: keep models with `run.upload_file()`, and find them by tags and properties."""

    what: ClassVar[str] = "a model registry"
    instead: ClassVar[str] = "keep models with run.upload_file() and find them by tags"


class Keyvault(metaclass=_Uncovered):
    """Not covered: read secrets from your environment; runlore keeps none."""

    what: ClassVar[str] = "Key Vault"
    instead: ClassVar[str] = "read secrets from your environment"
