"""The process that executes submitted runs, one after the other.

    python -m runlore.entry.supervisor <uri> <folder> <run id> <lock fd> [<pool> <slot> <slot fd>]

`<folder>` is the one on this machine that the workspace's processes share. The process is started
detached (`execution.launch`) and holds the run's lock while it takes care of the run. On a pool's
slot it continues with the oldest queued run, until the queue is empty.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from runlore.engine.runs.handle import RunHandle
from runlore.entry.wiring import open_existing
from runlore.execution.launch import PoolSlot, split_environment
from runlore.execution.leash import Leash
from runlore.execution.script import adopt_orphans
from runlore.execution.supervisor import Supervisor, ToldToEnd
from runlore.execution.targets.pool import Pool
from runlore.execution.targets.pool_folder import PoolFolder
from runlore.storage.file_lock import unlock
from runlore.storage.open_log import locate
from runlore.storage.run_folder import RunFolder, beat

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession


def main(arguments: list[str]) -> None:
    """Execute the run and, on a slot, the runs that are queued after it."""
    uri, folder, run_id, lock_fd, *rest = arguments
    slot = PoolSlot(rest[0], int(rest[1]), int(rest[2])) if rest else None
    handle_signals()
    adopt_orphans()
    for fd in (int(lock_fd), *([slot.fd] if slot else ())):
        os.set_inheritable(fd, False)
    # Before any file is opened and any thread starts: the leash is a fork of this process.
    leash = Leash(close_in_leash=[int(lock_fd)])
    leash.find_runs_in(Path(folder))
    with closing(open_existing(locate(uri))) as session:
        if not RunFolder(session.require_held(), run_id).holds_lock(int(lock_fd)):
            sys.exit(f"the folder of run {run_id} was moved or replaced; nothing was executed")
        _supervise(session, run_id, int(lock_fd), slot, leash)
    leash.close()


def _supervise(
    session: LiveSession, run_id: str, lock_fd: int, slot: PoolSlot | None, leash: Leash
) -> None:
    handed = split_environment(os.environ)
    pool = None if slot is None else Pool.of(session, slot.pool)
    while True:
        try:
            run = RunHandle.existing(session, run_id)
            look = _nothing if slot is None else partial(_look, session, slot.pool)
            supervisor = Supervisor(session, run, leash, handed, partial(beat, lock_fd), look)
            if not supervisor.execute():
                return
        except ToldToEnd:
            return
        except Exception:  # The failure of one run must not stop the queue.
            traceback.print_exc()
        finally:
            unlock(lock_fd)
        if pool is None or slot is None:
            return
        claim = pool.next_for(slot)
        if claim is None:
            return
        run_id, lock_fd = claim.run_id, claim.lock_fd
        handed = split_environment(claim.environment)


def _look(session: LiveSession, pool_name: str) -> None:
    """Start runs on other slots of the pool: their users' processes may have left them."""
    if any(True for _ in PoolFolder(session.require_held(), pool_name).hints()):
        pool = Pool.of(session, pool_name)
        if pool is not None:
            pool.settle()


def _nothing() -> None:
    """A run without a slot has no queue."""


def handle_signals() -> None:
    """Let SIGTERM raise ToldToEnd, once, and SIGCHLD tell of exits; ignore the other signals."""

    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Once is enough.
        raise ToldToEnd

    # Inherited from the submitter, blocked signals or an ignored SIGCHLD would hide all exits.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, end)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main(sys.argv[1:])
