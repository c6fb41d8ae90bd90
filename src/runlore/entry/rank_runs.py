"""`init()` of a rank of a distributed training: all ranks of a job execute one run.

Whichever comes first starts it, under an id that all of them know. Config, tags, display name and
snapshot are those of rank 0. Each rank leaves the run when it is done with it, and the last one
ends it.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from runlore.domain.errors import AlreadyExists, RunNotFound
from runlore.engine.participants.ranks import Rank
from runlore.engine.participants.ranks import rank_of as rank_of
from runlore.entry.going_on import go_on
from runlore.run.run import Run, handle_of
from runlore.workspace import Workspace, session_of

_OTHER_JOB_AFTER_S: Final = 60.0
"""A run that ended so long ago is of an earlier job with the same id, unless this is a restart."""

_begun: Final[Counter[str]] = Counter()
"""How many runs of a job this process has begun: its ranks begin them in one order."""


def run_of_rank(
    rank: Rank,
    workspace: Workspace,
    run_id: str | None,
    start: Callable[..., Run],
    add: Callable[[Run], None],
    *,
    end_at_exit: bool,
    samples: bool,
) -> Run:
    """The run of this rank's job, started or joined; `run_id` if the caller has named one.

    `start` starts it with options of `start_run`, and `add` adds what rank 0 was given. With
    `samples` one rank of each host samples it.
    """
    run = _found(rank, workspace, run_id)
    if run is None:
        named = run_id or _next_id(rank)
        try:
            run = start(run_id=named)
        except AlreadyExists:  # Another rank was faster.
            run = Run.get(workspace, named)
    _begun[rank.job] += 1
    found = run

    def add_if_first() -> None:
        if rank.rank == 0:
            add(found)

    reason = f"rank {rank.rank} of {rank.size} began, restart {rank.restarts}"
    go_on(found, reason, add_if_first, end_at_exit=end_at_exit)
    handle_of(found).leaves = True
    if samples:
        _sample_host(rank, found)
    return found


def _sample_host(rank: Rank, run: Run) -> None:
    """The metrics of the host of rank 0 have the plain names, those of others their host's."""
    session = session_of(run.experiment.workspace).writable()
    if rank.rank == 0:
        session.sample_system(run.id)
    elif rank.local == 0:
        session.sample_system(run.id, host=os.uname().nodename)


def _found(rank: Rank, workspace: Workspace, run_id: str | None) -> Run | None:
    while True:
        try:
            run = Run.get(workspace, run_id or _next_id(rank))
        except RunNotFound:
            return None
        if run_id is not None or not _is_of_other_job(rank, run):
            return run
        _begun[rank.job] += 1


def _is_of_other_job(rank: Rank, run: Run) -> bool:
    ended_at = handle_of(run).fetch().ended_at
    is_long_ago = ended_at is not None and time.time() - ended_at / 1e6 > _OTHER_JOB_AFTER_S
    return is_long_ago and rank.restarts == 0


def _next_id(rank: Rank) -> str:
    return rank.run_id(_begun[rank.job])
