"""The processes of a run: those in its groups, and those with its id in their environment.

A process belongs to a run if it is in one of the process groups that its script was started in,
or if its RUNLORE_RUN_ID and RUNLORE_WORKSPACE_FOLDER, which children inherit, are the run's. So a
process that only leaves its group (a daemon, `setsid`) is found. One that leaves its group *and*
clears its environment is not: nothing on the system says which run it belongs to.

The folder is named by its device and inode, not by its path: what lies at the path may be another
folder by now, and says nothing about the processes of the first.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Final

import psutil

from runlore.storage.run_folder import RunFolder

_LOOK_INTERVAL_S: Final = 0.01
KILLED_MAX_S: Final = 10.0
"""How long a process that was sent KILL is waited for."""


def end_processes(
    run: RunFolder, groups: Iterable[int], grace_s: float, *, killed_max_s: float = KILLED_MAX_S
) -> None:
    """End all processes of a run: TERM, up to `grace_s` seconds, KILL.

    Returns when only zombies are left, which their parents must reap. A process that KILL has not
    ended after `killed_max_s` (another user's, or one that waits for a dead disk) is left alone.
    """
    groups = list(groups)
    deadline = time.monotonic() + grace_s
    found = _send(run, groups, signal.SIGTERM)
    while found and time.monotonic() < deadline + killed_max_s:
        time.sleep(_LOOK_INTERVAL_S)
        if time.monotonic() < deadline:
            found = bool(processes_of(run, groups))
        else:  # Again and again: a process may fork while it is being killed.
            found = _send(run, groups, signal.SIGKILL)


def processes_of(run: RunFolder, groups: Iterable[int] = ()) -> list[psutil.Process]:
    """The living processes of a run, except this one and zombies."""
    wanted = set(groups)
    mark = mark_of(run)
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and _belongs(process, mark, wanted)
    ]


def mark_of(run: RunFolder) -> dict[str, str]:
    """The variables that mark the processes of a run."""
    device, inode = run.workspace.folder.identity
    return {"RUNLORE_RUN_ID": run.run_id, "RUNLORE_WORKSPACE_FOLDER": f"{device}:{inode}"}


def reap(spared: Collection[int] = ()) -> None:
    """Reap children that have ended, up to one that is `spared` for another waiter."""
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in spared:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)


def _belongs(process: psutil.Process, mark: dict[str, str], groups: set[int]) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if os.getpgid(process.pid) in groups:
            return True
        environment = process.environ()
        return all(environment.get(name) == value for name, value in mark.items())
    except (psutil.Error, OSError):  # It has just ended, or is another user's.
        return False


def _send(run: RunFolder, groups: list[int], number: signal.Signals) -> bool:
    """Signal the living processes of the run. Returns whether there were any."""
    found = processes_of(run, groups)
    for process in found:
        with suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) not in groups:
                process.send_signal(number)
    for group in groups if found else ():
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
    return bool(found)
