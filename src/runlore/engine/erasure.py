"""Erasing runs: destroying their keys, and every other copy of their data that runlore keeps.

First, one transaction records `run.erased` and overwrites the key: from then on nobody can read
the run, whatever happens. Then all copies are removed that are in the clear, or that an old copy of
the key could open: the log's WAL, spools, files, the folder of a submitted run, and projections.
Each step can be repeated, so erasing again completes an interrupted erasure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from runlore.domain.errors import ErasureIncomplete, NotErasable
from runlore.domain.run_commands import (
    EraseRun,
)
from runlore.engine.checks import as_seconds
from runlore.engine.runs.handle import RunHandle
from runlore.projections import generations, slots
from runlore.projections.cached_tables import remove_erased
from runlore.storage.errors import LogUnavailable
from runlore.storage.held_path import HeldPath
from runlore.storage.run_folder import RunFolder, remove_leftovers
from runlore.storage.spool_folder import live_values

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession, Session

T = TypeVar("T")

_POLL_INTERVAL_S: Final = 0.05


def erase(session: Session, run_ids: Sequence[str], reason: str, timeout_s: float) -> None:
    """Erase runs that have ended; all are checked before the first is erased.

    Waits up to `timeout_s` for other processes. Raises NotErasable, RunNotFound; InvalidInput for
    a run that has not ended, a missing reason or an invalid timeout; ErasureIncomplete if other
    processes still have copies after the timeout.
    """
    session = session.writable()
    if not session.erasable:
        raise NotErasable(session.workspace.name)
    timeout_s = as_seconds("timeout_s", timeout_s)
    command = EraseRun(reason)
    runs = [RunHandle.existing(session, run_id) for run_id in run_ids]
    for run in runs:
        run.check(command)
    for run in runs:
        run.change(command, flush_values=True, reason=reason)
    session.drop_projection()
    deadline = time.monotonic() + timeout_s
    pending: list[str] = []
    for remove in (_remove_spooled, _remove_files, _remove_projections, _empty_wal):
        try:
            pending += remove(session, runs, deadline)
        except (
            OSError,
            LogUnavailable,
        ) as error:  # The next steps still run.
            pending.append(f"a copy that could not be removed: {error}")
    if pending:
        raise ErasureIncomplete(run_ids, pending)


def _remove_spooled(session: LiveSession, runs: Sequence[RunHandle], deadline: float) -> list[str]:
    """Drain and wipe the spools of dead processes; live ones do so themselves, within 5 s."""
    folder = session.spools
    if folder is None:
        return []
    session.recovery(folder).run()
    own = session.journal.writer_id

    def writers() -> set[str]:
        return {
            writer
            for run in runs
            for writer in live_values(folder, session.log, run.id, excluding_writer=own).pieces
        }

    return [
        f"values that {session.journal.name_of(writer)} has logged and not written yet: let it "
        "flush, or end it"
        for writer in sorted(_left(writers, deadline))
    ]


def _remove_files(session: LiveSession, runs: Sequence[RunHandle], deadline: float) -> list[str]:
    """Remove artifacts, and the folders in which submitted runs executed."""
    held = session.require_held()
    stores = [session.artifact_backend.below(run.id) for run in runs]
    folders = [RunFolder(held, run.id) for run in runs]

    def kept() -> set[str]:
        return {store.location for store in stores if not store.remove_all()}

    def executing() -> set[HeldPath]:
        for run_folder in folders:
            if run_folder.exists() and not run_folder.is_locked():
                run_folder.remove()
        return {run_folder.root for run_folder in folders if run_folder.exists()}

    files = sorted(_left(kept, deadline))
    executed = sorted(_left(executing, deadline))
    remove_leftovers(held)
    return [
        *(f"files in {path}: end the process that adds them, or permit removal" for path in files),
        *(f"the folder {path}, which a supervisor is using: end that process" for path in executed),
    ]


def _remove_projections(
    session: LiveSession, runs: Sequence[RunHandle], deadline: float
) -> list[str]:
    """Remove generations, and all tables from before the erasure, of this user.

    Processes that have such tables open drop them at their next query. Those of other users, whose
    caches cannot be seen, discard theirs when they next read the workspace.
    """
    erasure = session.log.last_erasure()
    in_use, published = remove_erased(
        session.require_held(), session.workspace.workspace_id, erasure
    )

    def publishing() -> set[Path]:
        return {
            folder for folder in published if not generations.remove_from_before(folder, erasure)
        }

    def readers() -> set[slots.InUse]:
        return {slot for slot in in_use if slot.holds_from_before(erasure)}

    copied = sorted(_left(publishing, deadline))
    read = sorted(_left(readers, deadline))
    return [
        *(f"a copy of tables in {path}: let the process that makes it finish" for path in copied),
        *(
            f"tables that process {slot.pid} has open: let it run a query, or end it"
            for slot in read
        ),
    ]


def _empty_wal(session: LiveSession, runs: Sequence[RunHandle], deadline: float) -> list[str]:
    """Empty the WAL; the last step, because the others may write to the log."""
    if session.log.scrub(max(_POLL_INTERVAL_S, deadline - time.monotonic())):
        return []
    return ["old pages in the log's WAL, which another process is reading: let it finish"]


def _left(find: Callable[[], set[T]], deadline: float) -> set[T]:
    """Repeat a search until it finds nothing or the deadline has passed; return the last result."""
    while found := find():
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL_INTERVAL_S)
    return found
