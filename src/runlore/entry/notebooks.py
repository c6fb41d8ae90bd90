"""`init()` in a notebook: a kernel executes one run of it at a time."""

from __future__ import annotations

import sys
from typing import Any

from runlore.domain.status import Status
from runlore.domain.visible_text import visible
from runlore.engine.runs.leaving import leave
from runlore.run.run import Run, handle_of

_earlier: list[Run] = []


def note_run(run: Run) -> None:
    """Remember the run that `init()` started, if this is a kernel."""
    if _is_kernel():
        _earlier[:] = [run]


def end_earlier_run() -> None:
    """End the run of an earlier cell, if it executes still, and say so on stderr in one line."""
    while _earlier and _is_kernel():
        run = _earlier.pop()
        handle = handle_of(run)
        if handle.is_closed or not handle.writable().participation.executes(run.id):
            continue
        leave(handle, Status.COMPLETED)
        told = f"init() ended run {run.id}, which an earlier cell had started, as {run.status}"
        sys.stderr.write(f"runlore: {visible(told)}\n")


def _is_kernel() -> bool:
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")
