"""Starting a supervisor: it outlives the process that starts it and is never its child."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from runlore.storage.run_folder import RunFolder

OVERRIDES: Final = "RUNLORE_SUPERVISOR_OVERRIDES"
"""Carries the configuration's variables to the supervisor, as JSON, beside the environment."""
DIGEST: Final = "RUNLORE_SUPERVISOR_DIGEST"
"""Carries the digest of what is to be executed: a log that says something else is not believed."""
TARGET: Final = "RUNLORE_SUPERVISOR_TARGET"
"""Carries the target's name, kind and settings to a supervisor that an engine starts, as JSON."""

_OURS: Final = (
    *("RUNLORE_RUN_ID", "RUNLORE_WORKSPACE_URI", "RUNLORE_WORKSPACE_FOLDER"),
    "RUNLORE_PARENT_RUN_ID",
)


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
        *("runlore.entry.supervisor", uri, str(folder.workspace), folder.run_id, str(lock_fd)),
        *((slot.pool, str(slot.number), str(slot.fd)) if slot else ()),
    ]
    with folder.supervisor_log.open_file("ab") as log:
        _start_detached(words, fds, environment, log.fileno())


def start_watch(uri: str, pool: str, lock_fd: int) -> None:
    """Start the process that watches a pool's slots for this user. Raises OSError."""
    words = ["runlore.entry.queue_watch", uri, pool, str(lock_fd)]
    _start_detached(words, [lock_fd], environment_for({}, ""), subprocess.DEVNULL)


def _start_detached(
    module: Sequence[str], fds: Sequence[int], environment: Mapping[str, str], log: int
) -> None:
    words = [
        sys.executable,
        "-P",  # A random.py beside the script must not become the supervisor's.
        *("-W", "default"),
        *("-m", *module),
    ]
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


class Handed(NamedTuple):
    """What a supervisor is started with; `digest` is that of what it shall execute."""

    environment: dict[str, str]
    overrides: dict[str, str]
    digest: str


def environment_for(overrides: Mapping[str, str], digest: str) -> dict[str, str]:
    """This process's environment for a supervisor, with the configuration's variables beside it.

    The variables that make this process part of a run are left out: the submitted run is another.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
    return {**inherited, OVERRIDES: json.dumps(dict(overrides)), DIGEST: digest}


def split_environment(environment: Mapping[str, str]) -> Handed:
    """The parts that `environment_for` joined."""
    left_out = (OVERRIDES, DIGEST, TARGET, *_OURS)
    base = {name: value for name, value in environment.items() if name not in left_out}
    overrides = json.loads(environment.get(OVERRIDES) or "{}")
    return Handed(base, overrides, environment.get(DIGEST, ""))
