"""Lock files of dead writers that left nothing behind: removed, so that they do not gather.

Worker processes often end without closing the workspace. The lock file of a dead one is the proof
of its death as long as a run of its is open, or values or outcomes of its wait.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from runlore.storage.participants import runs_with_parts
from runlore.storage.spool_folder import SPOOLS, writers_with_spools
from runlore.storage.writers import remove_lock

if TYPE_CHECKING:
    from runlore.projections.reader import RunsReader
    from runlore.storage.held_path import HeldPath


def remove_settled_locks(files: HeldPath, dead: Sequence[str], tables: RunsReader) -> None:
    """Remove the lock files of these dead writers if nothing of theirs is open or waits."""
    kept = tables.writers_of_open_runs(dead)
    remove_locks_without_traces(files, [one for one in dead if one not in kept])


def remove_locks_without_traces(files: HeldPath, dead: Collection[str]) -> None:
    """Remove the lock files of dead writers, whose runs have ended, if nothing of theirs waits."""
    with_spools = writers_with_spools(files / SPOOLS)
    for writer_id in dead:
        if writer_id not in with_spools and not runs_with_parts(files, writer_id):
            with suppress(OSError):  # Another user's.
                remove_lock(files, writer_id)
