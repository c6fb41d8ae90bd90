"""What became of the processes of a workspace after it was moved away from them.

Writers that came during the move and were killed left their locks, which nobody holds, and how
others left runs. Brought into the folder of the new place, they end its runs as they would have
ended those of the original.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from runlore.engine.ends.dead_processes import settle_runs_of
from runlore.storage.participants import keep_outcome, parts_of, remove_parts, runs_with_parts
from runlore.storage.spool_folder import SPOOLS, writers_with_spools
from runlore.storage.writers import Life, WriterState, remove_lock, show_death, states_in

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession


def deaths_in(source: LiveSession) -> Mapping[str, WriterState]:
    """The writers of a moved workspace that died on this machine, if no other one may be alive.

    A run in which a living one takes part is not lost.
    """
    own = source.journal.writer_id
    states = {one: state for one, state in states_in(source.require_held()).items() if one != own}
    all_dead = all(state.life is Life.DEAD for state in states.values())
    return states if all_dead else {}


def bring_deaths(source: LiveSession, target: LiveSession) -> None:
    """End the runs of the writers that died, in the new place. Idempotent.

    Those whose values still wait stay: what they had logged comes before the end. Raises the log's
    error, or that of a file.
    """
    old, new = source.require_held(), target.require_held()
    waiting = writers_with_spools(old / SPOOLS)
    dead = {one: state for one, state in deaths_in(source).items() if one not in waiting}
    if not dead:
        return
    runs = runs_with_parts(old)
    for run_id in runs:
        for part in parts_of(old, run_id).values():
            keep_outcome(new, run_id, part)
    for writer_id, state in dead.items():
        if state.process is not None:
            show_death(new, writer_id, state.process)
    settle_runs_of(target, [*dead])
    with suppress(OSError):  # Another user's.
        for run_id in runs:
            remove_parts(old, run_id, wipe=source.erasable)
        for writer_id in dead:
            remove_lock(old, writer_id)
