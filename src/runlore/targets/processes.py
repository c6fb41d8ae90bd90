"""The processes of a run: its groups, and whatever carries its id in its environment.

A process belongs to a run if it is in one of the process groups that its script was started in,
or if RUNLORE_RUN_ID in its environment, which children inherit, is the run's. So one that only
leaves its group (a daemon, `setsid`) is found. One that leaves its group *and* clears its
environment is not: nothing on this system tells any more whose it is.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import psutil

_LOOK_INTERVAL_S: Final = 0.01


def end_processes(run_id: str, groups: Iterable[int], grace_s: float) -> bool:
    """Ends all processes of a run: TERM, up to `grace_s` seconds, KILL. True if any was there.

    Returns when none is left but zombies that others must reap; those of ours are reaped.
    """
    groups = list(groups)
    if not _send(run_id, groups, signal.SIGTERM):
        return False
    deadline = time.monotonic() + grace_s
    while _alive(run_id, groups):
        if time.monotonic() >= deadline:
            # Again and again: a process may fork while it is being killed.
            _send(run_id, groups, signal.SIGKILL)
        time.sleep(_LOOK_INTERVAL_S)
    return True


def processes_of(run_id: str, groups: Iterable[int] = ()) -> list[psutil.Process]:
    """The living processes of a run, this one left out; zombies do not count."""
    wanted = set(groups)
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and _belongs(process, run_id, wanted)
    ]


def reap() -> None:
    """Takes leave of all children that have ended and nobody waits for any more."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _belongs(process: psutil.Process, run_id: str, groups: set[int]) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if os.getpgid(process.pid) in groups:
            return True
        marked: bool = process.environ().get("RUNLORE_RUN_ID") == run_id
        return marked
    except (psutil.Error, OSError):  # It has just ended, or is another user's.
        return False


def _send(run_id: str, groups: list[int], number: signal.Signals) -> bool:
    found = processes_of(run_id, groups)
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
    for process in found:
        with suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) not in groups:
                process.send_signal(number)
    return bool(found)


def _alive(run_id: str, groups: list[int]) -> bool:
    return bool(processes_of(run_id, groups))
