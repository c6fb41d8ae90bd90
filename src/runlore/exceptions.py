"""The errors of runlore under the names that Azure ML scripts catch (`azureml.exceptions`).

`AzureMLException` is runlore's own root, so `except AzureMLException` catches every error that
runlore raises on purpose, with its `.message` and `.inner_exception`. `str(error)` is the message
alone, without Azure's multi-line frame ("Class:\\n\\tMessage: ...").

This module re-exports `runlore.domain.errors` and adds the classes that exist only for Azure's
scripts. Code inside runlore imports the former from `runlore.domain.errors`, by their names
there, and only the latter from here.

The errors of the log and of the disk are here as well, and loaded when they are first named: they
are also the classes of a library that takes long to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from runlore.domain.errors import (
    AlreadyExists,
    ChangeRefusedError,
    ErasureIncomplete,
    ExperimentNotFound,
    FilterError,
    InvalidInput,
    InvalidType,
    MomentInFuture,
    NotErasable,
    NotFound,
    PastIsReadOnly,
    PropertyConflict,
    RunEnded,
    RunGone,
    RunloreError,
    RunNotFound,
    TransitionRefused,
    UserError,
    WorkspaceClosed,
    WorkspaceNotFound,
)

if TYPE_CHECKING:
    from runlore.storage.atomic_files import FileNotWritten as FileNotWritten
    from runlore.storage.errors import DiskFailed as DiskFailed
    from runlore.storage.errors import DiskFull as DiskFull
    from runlore.storage.errors import LogBusy as LogBusy
    from runlore.storage.errors import LogCorrupt as LogCorrupt
    from runlore.storage.errors import LogReadOnly as LogReadOnly
    from runlore.storage.errors import LogTooNew as LogTooNew
    from runlore.storage.errors import LogUnavailable as LogUnavailable
    from runlore.storage.errors import NotALog as NotALog
    from runlore.storage.errors import QuotaReached as QuotaReached
    from runlore.storage.errors import TooManyOpenFiles as TooManyOpenFiles
    from runlore.storage.errors import ValuesDropped as ValuesDropped
    from runlore.storage.fence import LogMoved as LogMoved
    from runlore.storage.held_folder import FolderMoved as FolderMoved
    from runlore.storage.interruptions import Interrupting as Interrupting
    from runlore.storage.left_wal import ForeignWal as ForeignWal
    from runlore.storage.log_file import LogReplaced as LogReplaced
    from runlore.storage.open_wal import WalRemoved as WalRemoved

_OF_STORAGE: Final = {
    **dict.fromkeys(
        (
            "DiskFailed",
            "DiskFull",
            "LogBusy",
            "LogCorrupt",
            "LogReadOnly",
            "LogTooNew",
            "LogUnavailable",
            "NotALog",
            "QuotaReached",
            "TooManyOpenFiles",
            "ValuesDropped",
        ),
        "runlore.storage.errors",
    ),
    "FileNotWritten": "runlore.storage.atomic_files",
    "FolderMoved": "runlore.storage.held_folder",
    "ForeignWal": "runlore.storage.left_wal",
    "Interrupting": "runlore.storage.interruptions",
    "LogMoved": "runlore.storage.fence",
    "LogReplaced": "runlore.storage.log_file",
    "WalRemoved": "runlore.storage.open_wal",
}


def __getattr__(name: str) -> Any:
    if name not in _OF_STORAGE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    error = getattr(import_module(_OF_STORAGE[name]), name)
    error.__module__ = __name__
    return globals().setdefault(name, error)


AzureMLException = RunloreError
UserErrorException = UserError
ServiceException = ChangeRefusedError


class RunEnvironmentException(UserError):
    """This process's environment does not name a run to attach to."""


class ActivityFailedException(RunloreError):
    """The run that was waited for has failed."""


class ExperimentExecutionException(UserError):
    """A script could not be submitted, or the wait for it was interrupted."""


class SnapshotException(UserError):
    """The source folder could not be stored; nothing was recorded."""


class RunConfigurationException(UserError):
    """A run configuration contradicts itself, or has an invalid value."""


class RunConfigurationFileNotFound(RunConfigurationException, FileNotFoundError):
    """The file or folder to load a run configuration from, or to save it to, does not exist."""


class WorkspaceException(UserError):
    """A workspace could not be created or opened as asked."""


class ComputeTargetException(UserError):
    """The compute target does not exist, or cannot execute the request."""


class OutOfScope(UserError, NotImplementedError):
    """A part of Azure ML that runlore does not cover; the message names the alternative."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"runlore does not cover {what}; {instead}")
        self.what = what
        self.instead = instead


class OutOfScopeAttribute(OutOfScope, AttributeError):
    """An attribute of Azure's objects that runlore does not cover; `hasattr` says False."""


# --- what scripts name in `except` and in imports, and nothing here raises -----------------------


class ActivityCanceledException(RunloreError):
    """Kept for scripts that catch it."""


class AuthenticationException(UserError):
    """Kept for scripts that catch it; runlore has no accounts."""


class AzureMLAggregatedException(RunloreError):
    """Kept for scripts that catch it."""


class DatasetTimestampMissingError(RunloreError):
    """Kept for scripts that catch it; runlore has no datasets."""


class DiscoveryUrlNotFoundException(RunloreError):
    """Kept for scripts that catch it; runlore has no service."""


class ModelNotFoundException(RunloreError):
    """Kept for scripts that catch it; runlore has no model registry."""


class ModelPathNotFoundException(UserError):
    """Kept for scripts that catch it; runlore has no model registry."""


class ParallelRunException(RunloreError):
    """Kept for scripts that catch it."""


class ProjectSystemException(RunloreError):
    """Kept for scripts that catch it."""


class TrainingException(RunloreError):
    """Kept for scripts that catch it."""


class WebserviceException(RunloreError):
    """Kept for scripts that catch it; runlore deploys nothing."""


class WorkspacePrivateEndpointException(RunloreError):
    """Kept for scripts that catch it; runlore has no service."""


__all__ = [
    "ActivityCanceledException",
    "ActivityFailedException",
    "AlreadyExists",
    "AuthenticationException",
    "AzureMLAggregatedException",
    "AzureMLException",
    "ChangeRefusedError",
    "ComputeTargetException",
    "DatasetTimestampMissingError",
    "DiscoveryUrlNotFoundException",
    "DiskFailed",
    "DiskFull",
    "ErasureIncomplete",
    "ExperimentExecutionException",
    "ExperimentNotFound",
    "FileNotWritten",
    "FilterError",
    "FolderMoved",
    "ForeignWal",
    "Interrupting",
    "InvalidInput",
    "InvalidType",
    "LogBusy",
    "LogCorrupt",
    "LogMoved",
    "LogReadOnly",
    "LogReplaced",
    "LogTooNew",
    "LogUnavailable",
    "ModelNotFoundException",
    "ModelPathNotFoundException",
    "MomentInFuture",
    "NotALog",
    "NotErasable",
    "NotFound",
    "OutOfScope",
    "OutOfScopeAttribute",
    "ParallelRunException",
    "PastIsReadOnly",
    "ProjectSystemException",
    "PropertyConflict",
    "QuotaReached",
    "RunConfigurationException",
    "RunConfigurationFileNotFound",
    "RunEnded",
    "RunEnvironmentException",
    "RunGone",
    "RunNotFound",
    "RunloreError",
    "ServiceException",
    "SnapshotException",
    "TooManyOpenFiles",
    "TrainingException",
    "TransitionRefused",
    "UserError",
    "UserErrorException",
    "ValuesDropped",
    "WalRemoved",
    "WebserviceException",
    "WorkspaceClosed",
    "WorkspaceException",
    "WorkspaceNotFound",
    "WorkspacePrivateEndpointException",
]

for name in set(__all__) - set(_OF_STORAGE):
    globals()[name].__module__ = __name__  # The path that users write, for pickles and tracebacks.
del name
