"""Moving a workspace: its log, event by event, and what is beside it, into another place.

Positions, times, metadata and leaves stay the same, so earlier checkpoints and proofs still verify.
All steps can be repeated; the last ones say that it is done: the original is fenced as moved, and
then the fence of the copy falls.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runlore.audit.folder import AuditFolder
from runlore.domain.errors import AlreadyExists, InvalidInput, UserError
from runlore.engine import places
from runlore.engine.caller_warning import warn_caller
from runlore.engine.participants.others import states_of_writers
from runlore.storage.artifact_places import backend_of, place_of_artifacts
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.atomic_files import replacing
from runlore.storage.fence import Fence, LogMoved
from runlore.storage.filesystem import check_file_system
from runlore.storage.held_path import hold
from runlore.storage.held_trees import walk
from runlore.storage.log_copy import Progress, begin_copy, copy_events, holds_all
from runlore.storage.movable_log import MovableLog
from runlore.storage.open_log import exists, identity, locate, open_log
from runlore.storage.run_folder import RUNS
from runlore.storage.spool_folder import writers_with_spools
from runlore.storage.writers import Life

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession
    from runlore.storage.held_path import HeldPath
    from runlore.storage.log_opener import LogLocation

_NAMES_MAX: Final = 5


class StillInUse(UserError):
    """A workspace cannot be moved while its processes run, or values wait for them."""


@dataclass(frozen=True)
class Copied:
    """A workspace that was moved: where to, its events and root, and the files that went along."""

    source: str
    target: str
    events: int
    root: str
    audit_files: int
    artifacts: int


def copy_workspace(
    session: LiveSession, place: LogLocation, *, progress: Progress | None = None
) -> Copied:
    """Move the workspace of a session to a place; see `Workspace.copy_to`."""
    source = session.log
    fence = source.fence()
    if not isinstance(source, MovableLog):
        raise InvalidInput(f"the log of {session.uri} cannot be copied; export bundles of its runs")
    if session.erasable:
        raise InvalidInput(
            f"the workspace {session.workspace.name!r} is erasable: its keys would stay behind, so "
            "it stays where it is; copy a folder as a whole, see docs/copies.md"
        )
    if fence is not None and (fence.kind, fence.place) != ("moved to", place.uri):
        raise LogMoved(session.uri, fence, source.known_version)
    if exists(place) and identity(place) in (None, identity(locate(session.uri))):
        raise InvalidInput(f"{place} is the workspace itself; name another place")
    if fence is None:
        _settle(session)
    with _opened(place) as (target, held):
        if fence is not None and holds_all(target, source):
            return _copied(session, place, target)
        begin_copy(source, target, uri=session.uri, name=str(place))
        audit_files = _copy_audit(session.require_held(), held)
        artifacts = _copy_artifacts(session, held)
        moved = Fence("moved to", place.uri, source.beside().version)
        while not source.put_up(moved, at=copy_events(source, target, progress)):
            moved = moved._replace(version=source.beside().version)  # Others go on to write.
        target.take_down(source.beside())
        return _copied(session, place, target, audit_files, artifacts)


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
    waiting = [one for one in writers_with_spools(held / "spools") if one != own]
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


@contextmanager
def _opened(place: LogLocation) -> Iterator[tuple[MovableLog, HeldPath]]:
    if place.folder is not None:
        if not exists(place) and places.holds_anything(place.folder):
            raise AlreadyExists(f"{place} is a folder with other files; choose a new place")
        places.make_folder(place.folder)
        check_file_system(place.folder)
    with closing(open_log(place)) as log:
        held = hold(place.folder) if place.folder is not None else log.folder
        if not isinstance(log, MovableLog) or held is None:
            raise InvalidInput(f"no log can be copied to {place}: its kind does not take events")
        if log.erasable:
            raise AlreadyExists(f"{place} holds an erasable workspace; choose a new place")
        yield log, held


def _copy_audit(source: HeldPath, target: HeldPath) -> int:
    """Copy checkpoints, trusted keys and the rest; returns the number of files."""
    folder = AuditFolder(source).path
    if not folder.is_folder():
        return 0
    count = 0
    for name, entry in walk(folder):
        if not entry.is_file:
            continue
        with replacing(_below(AuditFolder(target).path, name)) as file:
            file.write(entry.path.read_bytes())
        count += 1
    return count


def _copy_artifacts(session: LiveSession, held: HeldPath) -> int:
    """Copy the files of runs, unless both workspaces have them in the same folder."""
    backend = session.artifact_backend
    workspace = session.workspace
    place = place_of_artifacts(
        held, workspace.workspace_id, erasable=False, in_log=workspace.files_uri
    )
    source = ArtifactStore(backend)
    target = ArtifactStore(backend_of(place, held, warn_caller))
    source.deliver()  # What waits for a store is in the workspace's folder, which stays behind.
    if source.is_same_as(target):
        return 0
    count = 0
    for sha256 in source.digests():
        if not target.has(sha256):
            target.take(sha256, source)
        count += 1
    return count


def _below(folder: HeldPath, name: str) -> HeldPath:
    for part in name.split("/"):
        folder = folder / part
    return folder
