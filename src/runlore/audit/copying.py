"""Moving a workspace: its log, event by event, and what is beside it, into another place.

Positions, times, metadata and leaves stay the same, so earlier checkpoints and proofs still verify.
All steps can be repeated; the last ones say that it is done: the original is fenced as moved, gives
up the keys of its runs if it has any, and then the fence of the copy falls. So where a copy can be
used, its runs can be erased: no other place has their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from runlore.audit.copied_files import copy_artifacts, copy_audit, remove_files_of
from runlore.audit.moved_deaths import bring_deaths, deaths_in
from runlore.domain.errors import AlreadyExists, InvalidInput, UserError
from runlore.engine import places
from runlore.engine.participants.others import states_of_writers
from runlore.projections.cached_tables import remove_erased
from runlore.storage.fence import Fence, LogMoved
from runlore.storage.filesystem import check_file_system
from runlore.storage.held_path import hold
from runlore.storage.log_copy import (
    Progress,
    begin_copy,
    copy_events,
    hand_over_keys,
    holds_all,
)
from runlore.storage.movable_log import MovableLog
from runlore.storage.open_log import exists, identity, locate, open_log
from runlore.storage.run_folder import RUNS
from runlore.storage.spool_folder import SPOOLS, ended_writers, writers_with_spools
from runlore.storage.writers import Life

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession
    from runlore.storage.held_path import HeldPath
    from runlore.storage.log_opener import LogLocation

_NAMES_MAX: Final = 5
_SCRUB_S: Final = 10.0


class StillInUse(UserError):
    """A workspace cannot be moved while its processes run, or values wait for them."""


@dataclass(frozen=True)
class Copied:
    """A workspace that was moved: where to, its events and root, and the files that went along.

    `values` is how many had been logged into the original after it was closed, and were moved now.
    """

    source: str
    target: str
    events: int
    root: str
    audit_files: int
    artifacts: int
    values: int = 0


def copy_workspace(
    session: LiveSession, place: LogLocation, *, progress: Progress | None = None
) -> Copied:
    """Move the workspace of a session to a place; see `Workspace.copy_to`."""
    source = session.log
    fence = source.fence()
    if not isinstance(source, MovableLog):
        raise InvalidInput(f"the log of {session.uri} cannot be copied; export bundles of its runs")
    if fence is not None and (fence.kind, fence.place) != ("moved to", place.uri):
        raise LogMoved(session.uri, fence, source.known_version, keyless=source.erasable)
    if exists(place) and identity(place) in (None, identity(locate(session.uri))):
        raise InvalidInput(f"{place} is the workspace itself; name another place")
    if fence is None:
        _settle(session)
    with _opened(place, erasable=source.erasable) as (target, held):
        if fence is not None and holds_all(target, source):
            return _copied(session, place, target)
        begin_copy(source, target, uri=session.uri, name=str(place))
        audit_files = copy_audit(session.require_held(), held)
        began_at = source.last_position()
        artifacts = copy_artifacts(session, held)
        moved = Fence("moved to", place.uri, source.beside().version)
        while not source.put_up(moved, at=copy_events(source, target, progress)):
            moved = moved._replace(version=source.beside().version)  # Others go on to write.
        if source.last_position() != began_at:
            artifacts = copy_artifacts(session, held)
        if source.erasable:
            remove_files_of(source.erased_runs(), session, held)
            hand_over_keys(source, target)
            _remove_readable(session)
        target.take_down(source.beside())
        return _copied(session, place, target, audit_files, artifacts)


def take_over(source: LiveSession, copied: Copied, opened: Callable[[], LiveSession]) -> Copied:
    """Move what writers that did not know of the move have left on this machine.

    Their values and ends, and what their locks tell of their death. `opened` opens the new place.
    Living writers keep theirs: the move can be repeated.
    """
    spools = source.require_held() / SPOOLS
    has_spools = bool(ended_writers(spools, excluding=source.journal.writer_id))
    if not (has_spools or deaths_in(source)):
        return copied
    with closing(opened()) as target:
        values = target.take_over(spools) if has_spools else 0
        bring_deaths(source, target)
        return replace(copied, values=values)


def _copied(
    session: LiveSession,
    place: LogLocation,
    target: MovableLog,
    audit_files: int = 0,
    artifacts: int = 0,
) -> Copied:
    head = target.head()
    root = head.frontier.root.hex()
    return Copied(session.uri, place.uri, head.size, root, audit_files, artifacts)


def _settle(session: LiveSession) -> None:
    """Write all that waits; raise StillInUse if other processes write, or something still waits."""
    session.write_values()
    session.recover_values(waits=True)
    held = session.require_held()
    own = session.journal.writer_id
    if session.is_copy:
        raise StillInUse(
            f"{session.uri} is a copy of a folder, in which nothing is recorded of the original's "
            "processes; run `runlore repair --adopt` first"
        )
    living = [
        str(state.process or state.why)
        for writer, state in states_of_writers(held, session.log).items()
        if writer != own and state.life in (Life.ALIVE, Life.UNKNOWN)
    ]
    waiting = [one for one in writers_with_spools(held / SPOOLS) if one != own]
    runs = held / RUNS
    executing = [name for name in runs.names() if name[:1] != "."] if runs.is_folder() else []
    for what, names, advice in (
        ("processes write to it", living, "end them"),
        ("runs execute or are queued", executing, "wait for them, or cancel them"),
        ("writers' values wait in its spools", waiting, "look with `runlore repair`"),
    ):
        if names:
            shown = ", ".join(names[:_NAMES_MAX]) + ", ..." * (len(names) > _NAMES_MAX)
            raise StillInUse(
                f"{session.uri} was not moved, as {what}: {shown}; {advice}, and try again"
            )


def _remove_readable(session: LiveSession) -> None:
    """Remove what shows runs whose keys went along: this user's tables, old pages with keys.

    Raises StillInUse while other processes use them; this can be repeated.
    """
    session.drop_projection()
    after_all = session.log.last_position() + 1
    left = remove_erased(session.require_held(), session.workspace.workspace_id, after_all)
    using = [f"process {slot.pid} has tables of it open" for slot in left.in_use]
    using += [f"a process publishes tables in {folder}" for folder in left.publishing]
    if not session.log.scrub(_SCRUB_S):
        using.append("a process reads the log's WAL, in which old keys are")
    if using:
        raise StillInUse(
            f"{session.uri} was copied and closed, and the keys of its runs are in the copy, which "
            f"opens when nothing shows the runs here: {'; '.join(using[:_NAMES_MAX])}; end these "
            "processes, and repeat `runlore workspace copy`"
        )


@contextmanager
def _opened(place: LogLocation, *, erasable: bool) -> Iterator[tuple[MovableLog, HeldPath]]:
    if place.folder is not None:
        if not exists(place) and places.holds_anything(place.folder):
            raise AlreadyExists(f"{place} is a folder with other files; choose a new place")
        places.make_folder(place.folder, private=erasable)
        check_file_system(place.folder)
    with closing(open_log(place, erasable=erasable)) as log:
        held = hold(place.folder) if place.folder is not None else log.folder
        if not isinstance(log, MovableLog) or held is None:
            raise InvalidInput(f"no log can be copied to {place}: its kind does not take events")
        if log.erasable is not erasable:
            kind, own = ("erasable", "is not") if log.erasable else ("not erasable", "is")
            raise AlreadyExists(
                f"{place} holds a workspace that is {kind}, and this one {own}; choose a new place"
            )
        yield log, held
