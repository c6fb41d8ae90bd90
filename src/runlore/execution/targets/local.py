"""The target `local`: this machine, without a limit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from runlore.domain.events import Event
from runlore.execution.launch import start_supervisor
from runlore.execution.targets.target import Placement, Target
from runlore.storage.run_folder import RunFolder


class LocalTarget(Target):
    """Starts each run at once."""

    kind = "local"

    @classmethod
    def checked(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def recorded(self) -> list[Event]:
        return []

    def announce(self, placement: Placement) -> None:
        """Its folder, which is locked, says enough."""

    def place(self, placement: Placement) -> None:
        try:
            start_supervisor(
                self.session.uri,
                RunFolder(self.session.require_files(), placement.run_id),
                placement.lock_fd,
                placement.environment,
            )
        finally:
            os.close(placement.lock_fd)

    def withdraw(self, run_id: str) -> None:
        """Nothing waits here."""
