"""The errors of runlore under the names that Azure ML scripts catch (`azureml.exceptions`).

`AzureMLException` is runlore's own root, so `except AzureMLException` catches every error that
runlore raises on purpose, with its `.message` and `.inner_exception`. `str(error)` is the message
alone, without Azure's multi-line frame ("Class:\\n\\tMessage: ...").

This module re-exports `runlore.domain.errors` and adds the classes that exist only for Azure's
scripts. Code inside runlore imports the former from `runlore.domain.errors`, by their names
there, and only the latter from here.
"""

from __future__ import annotations

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
    "ErasureIncomplete",
    "ExperimentExecutionException",
    "ExperimentNotFound",
    "FilterError",
    "InvalidInput",
    "InvalidType",
    "ModelNotFoundException",
    "ModelPathNotFoundException",
    "MomentInFuture",
    "NotErasable",
    "NotFound",
    "OutOfScope",
    "OutOfScopeAttribute",
    "ParallelRunException",
    "PastIsReadOnly",
    "ProjectSystemException",
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
    "TrainingException",
    "TransitionRefused",
    "UserError",
    "UserErrorException",
    "WebserviceException",
    "WorkspaceClosed",
    "WorkspaceException",
    "WorkspaceNotFound",
    "WorkspacePrivateEndpointException",
]

for name in __all__:
    globals()[name].__module__ = __name__  # The path that users write, for pickles and tracebacks.
del name
