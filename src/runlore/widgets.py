"""Azure's `azureml.widgets`: a run that shows itself in a notebook."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from runlore.domain.errors import RunloreError
from runlore.domain.status import TERMINAL

if TYPE_CHECKING:
    from runlore.run import Run

_INTERVAL_S: Final = 1.0


class RunDetails:
    """The card of a run, which follows the run until it ends. Outside of notebooks it is a line."""

    def __init__(self, run_instance: Run) -> None:
        self._run = run_instance

    def show(self, render_lock: object = None, widget_settings: object = None) -> None:
        """Show the run here; a notebook's card is renewed each second until the run ends."""
        display = _notebooks_display()
        if display is None:
            print(f"run {self._run.id}: {self._run.get_status()}")  # noqa: T201 - asked for
            return
        handle = display(self._run, display_id=True)
        follower = threading.Thread(target=self._follow, args=(handle,), daemon=True)
        follower.start()

    def get_widget_data(self) -> dict[str, Any]:
        """The run's details."""
        return self._run.get_details()

    def _follow(self, handle: Any) -> None:
        over = threading.Event()
        try:
            while self._run.get_status() not in TERMINAL:
                over.wait(_INTERVAL_S)
                handle.update(self._run)
            handle.update(self._run)
        except RunloreError:
            return  # The workspace was closed.


def _notebooks_display() -> Any:
    """IPython's `display` in a notebook; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if ipython is None or shell is None or not hasattr(shell, "kernel"):
        return None
    return ipython.display.display
