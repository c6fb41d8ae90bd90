"""The target `local`: this machine, without a limit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from runlore.domain.events import Event
from runlore.execution.launch import start_supervisor
from runlore.execution.targets.this_machine import LocalPlacement, TargetOfThisMachine
from runlore.storage.run_folder import RunFolder


class LocalTarget(TargetOfThisMachine):
    """Starts each run at once."""

    kind = "local"

    @classmethod
    def checked(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def recorded(self) -> Sequence[Event]:
        return ()

    def settle(self) -> None:
        """Nothing waits here."""

    def placement(
        self, folder: RunFolder, lock_fd: int, environment: Mapping[str, str]
    ) -> LocalPlacement:
        return _AtOnce(folder, lock_fd, environment, self.session.uri)


class _AtOnce(LocalPlacement):
    def __init__(
        self, folder: RunFolder, lock_fd: int, environment: Mapping[str, str], uri: str
    ) -> None:
        super().__init__(folder, lock_fd, environment)
        self._uri = uri

    def announce(self) -> None:
        """The run's locked folder is enough."""

    def place(self) -> None:
        try:
            start_supervisor(self._uri, self.folder, self.lock_fd, self.environment)
        finally:
            os.close(self.lock_fd)  # Not unlocked: the supervisor has it now.
