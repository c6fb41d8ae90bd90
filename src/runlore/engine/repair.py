"""Folders that were copied or moved: what they hold, and how they become workspaces again.

A copy made while processes wrote holds their lock files and spools. These belong to the original:
in the copy its values can be read, and nothing is recorded. `adopt` makes the copy a workspace of
its own; `settle_moved` says that the original is gone, so that the processes which wrote to it are
dead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from runlore.domain.errors import InvalidInput
from runlore.domain.run import (
    LOST,
)
from runlore.domain.run_commands import (
    EndRun,
    LoseRun,
)
from runlore.domain.status import ACTIVE, TERMINAL, Status
from runlore.domain.workspace import AdoptWorkspace
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.leaving import settle
from runlore.projections.filters import RunFilter
from runlore.storage.participants import remove_parts
from runlore.storage.run_folder import folders_in
from runlore.storage.spool_folder import SPOOLS, damaged_in, is_copied, writers_with_spools
from runlore.storage.writers import Life, WriterState, remove_lock, states_in

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession
    from runlore.storage.held_path import HeldPath


@dataclass(frozen=True, slots=True)
class Condition:
    """What a workspace's folder holds of processes that write or wrote.

    `writers` are those with a lock file, `waiting` the ids of those whose values wait in spools;
    `damaged` are spools that were set aside because something in them could not be read.
    """

    is_copy: bool
    writers: Mapping[str, WriterState]
    waiting: tuple[str, ...]
    damaged: tuple[Path, ...]

    @property
    def alive(self) -> tuple[str, ...]:
        """The ids of the writers that are alive."""
        return tuple(one for one, state in self.writers.items() if state.life is Life.ALIVE)


def condition_of(files: HeldPath) -> Condition:
    """The condition of a workspace's folder; changes nothing."""
    return Condition(
        is_copied(files),
        states_in(files),
        tuple(writers_with_spools(files / SPOOLS)),
        tuple(path.plain for path in damaged_in(files / SPOOLS)),
    )


def adopt(session: LiveSession, note: str | None = None) -> str:
    """Make a copied folder a workspace of its own, with a new id, which is returned.

    Values that were copied in spools go into its log. Runs that were executing become lost here:
    in the original they go on. The log tells the origin's id and the note, by default the folder.
    Raises InvalidInput while processes write to the folder: then it is no copy.
    """
    files = session.require_held()
    own = session.journal.writer_id
    alive = [one for one in condition_of(files).alive if one != own]
    if alive:
        names = ", ".join(map(session.journal.name_of, alive))
        raise InvalidInput(
            f"the workspace in {files} is in use by {names}, so it cannot be adopted as a copy; "
            "close it there first"
        )
    origin = session.workspace.workspace_id
    _recover(session)
    command = AdoptWorkspace(workspace_id=str(uuid4()), note=str(files) if note is None else note)
    session.adopt_workspace(command)
    why = f"the workspace was copied while the run was executing; it went on in {origin}"
    for run in list(_active_runs(session)):
        _lose(run, why, {"origin": origin})
        remove_parts(files, run.id, wipe=session.erasable)
    for folder in folders_in(session.require_held()):
        if not folder.is_locked():
            folder.remove()
    _remove_locks(session)
    return session.workspace.workspace_id


def settle_moved(session: LiveSession) -> list[str]:
    """Record that the original of a moved folder is gone; returns the ids of the runs lost.

    The workspace keeps its id. Values that were copied in spools go into its log, and the writers
    to the original count as dead.
    """
    _recover(session)
    found = condition_of(session.require_held())
    gone = [writer_id for writer_id, state in found.writers.items() if state.in_copy]
    lost = lose_runs_of_dead_writers(session, gone=gone)
    _remove_locks(session)
    session.look_after(at_once=True)
    return lost


def lose_runs_of_dead_writers(session: LiveSession, *, gone: Collection[str] = ()) -> list[str]:
    """Record as lost the interactive runs whose processes are all dead; returns their ids.

    `gone` are writers to the original of this folder that count as dead. See `settle`, which also
    ends the runs that all of their processes left.
    """
    active = list(_active_runs(session))
    return [run.id for run in active if settle(run, gone=gone) and run.state.lost]


def _recover(session: LiveSession) -> None:
    if session.spools is not None:
        session.recovery(session.spools, from_copies=True).run()


def _active_runs(session: LiveSession) -> Iterator[RunHandle]:
    """The runs that have not ended, after this process's values were written."""
    session.flush()
    statuses = tuple(sorted(ACTIVE))
    which = RunFilter(statuses=statuses, include_children=True, include_archived=True)
    for row in session.tables().runs(which):
        run = RunHandle(session, row.run_id)
        state = run.refresh()
        if state is not None and state.status not in TERMINAL:
            yield run


def _lose(run: RunHandle, why: str, evidence: Mapping[str, str | int | None]) -> None:
    if run.state.status is Status.QUEUED:  # Nobody executes it, so nobody was lost.
        run.change(EndRun(Status.FAILED, {"code": LOST, "message": why}))
    else:
        run.change(LoseRun(why, evidence))


def _remove_locks(session: LiveSession) -> None:
    """Remove the lock files of writers that are dead or wrote to the original."""
    files = session.require_held()
    for writer_id, state in states_in(files).items():
        if state.life is Life.DEAD or state.in_copy:
            remove_lock(files, writer_id)
