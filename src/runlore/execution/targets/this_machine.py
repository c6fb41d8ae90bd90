"""The base of targets of this machine: a run's folder is locked while it is taken care of."""

from __future__ import annotations

import socket
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runlore.exceptions import ExperimentExecutionException
from runlore.execution.targets.target import Placement, Target
from runlore.storage.file_lock import unlock
from runlore.storage.run_folder import Owner, RunFolder
from runlore.storage.this_process import boot_id

if TYPE_CHECKING:
    from runlore.domain.definition import Definition
    from runlore.engine.runs.handle import RunHandle


class LocalPlacement(Placement):
    """Holds the lock of the run's folder from before the run is recorded until it is placed.

    A reader takes a run whose folder is not locked for lost. So the lock must be held before the
    run is in the log, and be handed to the supervisor, or released only for a queued run.
    """

    def __init__(self, folder: RunFolder, lock_fd: int, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.lock_fd = lock_fd
        self.environment = environment

    def release(self) -> None:
        unlock(self.lock_fd)


class TargetOfThisMachine(Target):
    """Runs execute below the workspace's folder."""

    def prepare(
        self, run_id: str, environment: Mapping[str, str], definition: Definition
    ) -> Placement:
        folder = self.run_folder(run_id)
        return self.placement(folder, lock_folder(folder), environment)

    def check_workspace(self) -> None:
        """The session has checked that the workspace has a folder here."""

    def observe(self, run: RunHandle) -> None:
        """The lock of the run's folder tells all."""

    def forget(self, run_id: str) -> None:
        """All that was left is in the run's folder."""

    @abstractmethod
    def placement(
        self, folder: RunFolder, lock_fd: int, environment: Mapping[str, str]
    ) -> LocalPlacement:
        """The placement of a run whose folder is locked."""

    def withdraw(self, run_id: str) -> None:
        self.run_folder(run_id).remove()

    def is_alive(self, run_id: str) -> bool | None:
        return has_supervisor(self.run_folder(run_id))

    def run_folder(self, run_id: str) -> RunFolder:
        """The run's folder while it executes."""
        return RunFolder(self.session.require_held(), run_id)


def lock_folder(folder: RunFolder) -> int:
    """Make the folder of a run that is to be submitted; its lock, as a descriptor.

    Raises ExperimentExecutionException if that is not possible, or another submission has it.
    """
    try:
        lock_fd = folder.make_and_lock()
    except OSError as error:
        raise ExperimentExecutionException(
            f"cannot make the folder {folder.root} in which the script would execute: "
            f"{error.strerror or error}; nothing was submitted",
            error,
        ) from error
    if lock_fd is None:
        raise ExperimentExecutionException(
            f"run id {folder.run_id!r} is being used by another submission; leave run_id out"
        )
    return lock_fd


def has_supervisor(folder: RunFolder) -> bool | None:
    """Whether a process holds the lock of a run's folder.

    None if only another machine can know, or the folder may not be read.
    """
    try:
        folder.root.stat()
        if folder.is_locked():
            return True
    except FileNotFoundError:
        return False
    except OSError:  # Another user's, or not what a submission makes.
        return None
    owner = folder.owner()
    return None if owner is not None and _is_elsewhere(owner) else False


def _is_elsewhere(owner: Owner) -> bool:
    """A lock says nothing about another machine; a restarted machine is not another one."""
    return owner.boot_id != boot_id() and owner.host != socket.gethostname()
