"""Starting a supervisor: it outlives the process that starts it and is never its child."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

from runlore.storage.run_folder import RunFolder

OVERRIDES: Final = "RUNLORE_SUPERVISOR_OVERRIDES"
"""Carries the configuration's variables to the supervisor, as JSON, beside the environment."""

_OURS: Final = ("RUNLORE_RUN_ID", "RUNLORE_WORKSPACE_URI", "RUNLORE_PARENT_RUN_ID")


class PoolSlot(NamedTuple):
    """A slot of a pool, and the descriptor that holds its lock."""

    pool: str
    number: int
    fd: int


def start_supervisor(
    uri: str,
    folder: RunFolder,
    lock_fd: int,
    environment: Mapping[str, str],
    *,
    slot: PoolSlot | None = None,
) -> None:
    """Start the run's supervisor and hand the locks over to it; the caller closes its own.

    The shell in between ends at once, so the supervisor is not a child of this process. Raises
    OSError if it cannot be started.
    """
    fds = [lock_fd] if slot is None else [lock_fd, slot.fd]
    words = [
        sys.executable,
        "-P",  # A random.py beside the script must not become the supervisor's.
        *("-W", "default"),
        *("-m", "runlore.entry.supervisor"),
        uri,
        folder.run_id,
        str(lock_fd),
        *((slot.pool, str(slot.number), str(slot.fd)) if slot else ()),
    ]
    with open(folder.supervisor_log, "ab") as log:
        ended = subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "runlore", *words],
            cwd="/",
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=fds,
            check=False,
        )
    if ended.returncode:
        raise OSError(f"the shell that starts the supervisor ended with {ended.returncode}")


def environment_for(overrides: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for a supervisor, with the configuration's variables beside it.

    The variables that make this process part of a run are left out: the submitted run is another.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
    return {**inherited, OVERRIDES: json.dumps(dict(overrides))}


def split_environment(environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The two parts that `environment_for` joined: the environment, and the overrides."""
    base = {k: v for k, v in environment.items() if k != OVERRIDES and k not in _OURS}
    return base, json.loads(environment.get(OVERRIDES) or "{}")
