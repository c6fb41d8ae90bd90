"""The errors of runlore under the names that Azure ML scripts catch (`azureml.exceptions`).

`AzureMLException` is runlore's own root, so `except AzureMLException` catches everything that
runlore raises on purpose; `.message` and `.inner_exception` are there. `str(error)` is the
message alone: Azure's multi-line wrapping ("Class:\\n\\tMessage: ...") is left out on purpose.
"""

from __future__ import annotations

from runlore.domain.errors import (
    AlreadyExists,
    ChangeRefusedError,
    ErasureIncomplete,
    ExperimentNotFound,
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

AzureMLException = RunloreError
UserErrorException = UserError
ServiceException = ChangeRefusedError


class RunEnvironmentException(UserError):
    """There is no run to attach to in this process's environment."""


class ActivityFailedException(RunloreError):
    """A run that was waited for has failed."""


class ExperimentExecutionException(UserError):
    """A script could not be submitted, or waiting for it was interrupted."""


class SnapshotException(UserError):
    """The source folder could not be kept; nothing was recorded."""


class RunConfigurationException(UserError):
    """A run configuration contradicts itself, or holds what it cannot."""


class RunConfigurationFileNotFound(RunConfigurationException, FileNotFoundError):
    """A file or folder that a run configuration is read from or saved to is not there."""


class WorkspaceException(UserError):
    """A workspace could not be created or opened as asked."""


class ComputeTargetException(UserError):
    """There is no such compute target, or it cannot do what was asked."""


class ModelPathNotFoundException(UserError):
    """Kept for scripts that catch it; runlore has no model registry."""


class OutOfScope(UserError, NotImplementedError):
    """A part of Azure ML that runlore does not cover; the message says what to use instead."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"runlore does not cover {what}; {instead}")
        self.what = what
        self.instead = instead


__all__ = [
    "ActivityFailedException",
    "AlreadyExists",
    "AzureMLException",
    "ChangeRefusedError",
    "ComputeTargetException",
    "ErasureIncomplete",
    "ExperimentExecutionException",
    "ExperimentNotFound",
    "InvalidInput",
    "InvalidType",
    "ModelPathNotFoundException",
    "MomentInFuture",
    "NotErasable",
    "NotFound",
    "OutOfScope",
    "PastIsReadOnly",
    "PropertyConflict",
    "RunConfigurationException",
    "RunConfigurationFileNotFound",
    "RunEnded",
    "RunEnvironmentException",
    "RunGone",
    "RunNotFound",
    "RunloreError",
    "ServiceException",
    "SnapshotException",
    "TransitionRefused",
    "UserError",
    "UserErrorException",
    "WorkspaceClosed",
    "WorkspaceException",
    "WorkspaceNotFound",
]
