"""The consoles of the runs that this process executes, and where their files are."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from runlore.domain.errors import RunloreError
from runlore.storage.held_path import HeldPath

if TYPE_CHECKING:
    from runlore.engine.console.console import Console

CONSOLES: Final = "consoles"


def console_path(workspace: HeldPath, run_id: str) -> HeldPath:
    """The file of a run's console, which exists while the run goes on."""
    return workspace / CONSOLES / f"{run_id}.txt"


class Consoles:
    """The consoles of the runs of a log that this process executes."""

    def __init__(self) -> None:
        self._open: dict[str, Console] = {}
        self._pid = os.getpid()

    def open(self, workspace: HeldPath, run_id: str) -> None:
        """Open a run's console, unless it is open; without one, if its file cannot be made."""
        if run_id in self._open:
            return
        # Imported here: most processes have no console, and it takes some milliseconds.
        from runlore.engine.console.console import Console

        with suppress(RunloreError, OSError):
            self._open[run_id] = Console(console_path(workspace, run_id))

    def close(self, run_id: str) -> bool:
        """Write all that was printed; returns whether the run's console was open here.

        In a forked child the parent's consoles stay as they are.
        """
        console = self._open.pop(run_id, None) if self._pid == os.getpid() else None
        if console is not None:
            console.close()
        return console is not None

    def close_all(self) -> None:
        """The same for all runs: their files stay where they are."""
        for run_id in list(self._open):
            self.close(run_id)
