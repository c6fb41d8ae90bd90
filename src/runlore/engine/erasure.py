"""Erasing runs: the key goes, and with it every copy that runlore keeps of what it sealed.

First, in one transaction, `run.erased` is recorded and the key overwritten: from then on nobody can
read the run, whatever happens. Then what is left in the clear, or could be opened with an old
copy of the key, is removed: the log's WAL, spools, files, the folder of a submitted run, and
projections. Each step can be repeated, so an erasure that was cut short is finished by another one.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from runlore.domain.errors import ErasureIncomplete, NotErasable
from runlore.domain.run import EraseRun
from runlore.engine.checks import as_seconds
from runlore.engine.runs.handle import RunHandle
from runlore.projections import generations, slots
from runlore.storage.errors import LogBusy
from runlore.storage.run_folder import RunFolder, remove_leftovers
from runlore.storage.spool_folder import live_values, recover

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession, Session

T = TypeVar("T")

_LOOK_S: Final = 0.05


def erase(session: Session, run_ids: Sequence[str], reason: str, timeout_s: float) -> None:
    """Erases runs that have ended, all checked before the first is; waits so long for others.

    Raises NotErasable, RunNotFound; InvalidInput for a run that has not ended, without a reason
    and for a timeout of no sense; ErasureIncomplete if other processes keep copies for longer.
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
        except (OSError, LogBusy) as error:  # Another user's files: what comes behind still goes.
            pending.append(f"what could not be removed: {error}")
    if pending:
        raise ErasureIncomplete(run_ids, pending)


def _remove_spooled(session: LiveSession, runs: Sequence[RunHandle], deadline: float) -> list[str]:
    """What dead processes left is drained and wiped; living ones do so themselves, within 5 s."""
    folder = session.spools
    if folder is None:
        return []
    recover(folder, session.journal, wipe=True)
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
    """Kept files, and the folder in which a submitted run executed."""
    folder = session.require_files()
    stores = [session.artifact_folder / run.id for run in runs]
    folders = [RunFolder(folder, run.id) for run in runs]

    def kept() -> set[Path]:
        for one in stores:  # Another process may be at putting a file there.
            shutil.rmtree(one, ignore_errors=True)
        return {one for one in stores if one.exists()}

    def executing() -> set[Path]:
        for one in folders:
            if one.root.exists() and not one.is_locked():
                one.remove()
        return {one.root for one in folders if one.root.exists()}

    files = sorted(_left(kept, deadline))
    executed = sorted(_left(executing, deadline))
    remove_leftovers(folder)
    return [
        *(f"files in {path}: end who puts them there, or permit their removal" for path in files),
        *(f"the folder {path}, which its supervisor has: end it" for path in executed),
    ]


def _remove_projections(
    session: LiveSession, runs: Sequence[RunHandle], deadline: float
) -> list[str]:
    """All generations, and all that was read before the erasure; processes that have it open drop
    it at their next query.
    """
    erasure = session.log.last_erasure()
    all_tables = _folders_in(session.require_files() / "projections")
    published = [tables / "generations" for tables in all_tables]
    in_use = [one for tables in all_tables for one in slots.remove_from_before(tables, erasure)]

    def publishing() -> set[Path]:
        return {one for one in published if not generations.remove_all(one)}

    def readers() -> set[slots.InUse]:
        return {one for one in in_use if one.holds_from_before(erasure)}

    copied = sorted(_left(publishing, deadline))
    read = sorted(_left(readers, deadline))
    return [
        *(f"a copy of tables in {path}: let who makes it finish, or end it" for path in copied),
        *(
            f"tables that process {one.pid} has read: let it query something, or end it"
            for one in read
        ),
    ]


def _empty_wal(session: LiveSession, runs: Sequence[RunHandle], deadline: float) -> list[str]:
    """Last, as what came before may have written to the log."""
    if session.log.scrub(max(_LOOK_S, deadline - time.monotonic())):
        return []
    return ["old pages in the log's WAL, which another process is reading: let it finish"]


def _folders_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _left(find: Callable[[], set[T]], deadline: float) -> set[T]:
    """What is found until nothing is, or time is up."""
    while found := find():
        if time.monotonic() >= deadline:
            break
        time.sleep(_LOOK_S)
    return found
