"""Copies of one workspace that were both written to, and meet again in a bundle.

A copied folder keeps the workspace's id, and its log goes on at the same positions with other
events. A copy that only imports what the original exports has no events of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgpack

from runlore.audit.bundles.file import BundleFile, open_bundle
from runlore.audit.bundles.format import EVENTS, BundleRecord, read_records
from runlore.audit.checkpoints import leaves_of
from runlore.domain.errors import AlreadyExists
from runlore.domain.fact import utc_time
from runlore.domain.ids import StreamKind, parse_stream
from runlore.storage.log_query import LogQuery

if TYPE_CHECKING:
    from runlore.engine.session import Session
    from runlore.storage.event_log import EventLog, StoredRow

_PAGE: Final = 1_000


class CopiesDiverged(AlreadyExists):
    """A bundle is of a copy of this workspace, and both were written to; nothing was written.

    `position` is the first at which their logs differ.
    """

    def __init__(self, path: Path, position: int, here: StoredRow, there: StoredRow) -> None:
        super().__init__(
            f"bundle {path} is of a copy of this workspace, and both were written to since they "
            f"were one: their logs differ from position {position} on ({_told(here)} here, "
            f"{_told(there)} there); nothing was written: make one of them a workspace of its own, "
            "with `runlore repair --adopt` there, and export and import again"
        )
        self.path = path
        self.position = position


def check_not_diverged(session: Session, bundle: BundleFile) -> None:
    """Raise CopiesDiverged if bundle and log are of copies with events of their own."""
    log, workspace_id = session.log, session.workspace.workspace_id
    if bundle.manifest.workspace.id != workspace_id:
        return
    differing = first_difference(log, records_of(bundle))
    if differing is None:
        return
    position = differing.position
    here = next(_written_here(_rows(log, position), workspace_id), None)
    rows = (record.row for record in records_of(bundle) if record.row.position >= position)
    there = next(_unknown(log, _written_here(rows, workspace_id)), None)
    if here is not None and there is not None:
        raise CopiesDiverged(bundle.path, position, here, there)


def first_difference(log: EventLog, records: Iterable[BundleRecord]) -> StoredRow | None:
    """The first event of a bundle that is not at its position in the log; None if all are.

    Events after the log's end do not count. Reads the leaves up to there, 32 bytes each.
    """
    leaves, at, leaf = leaves_of(log, log.head().position), 0, b""
    for record in records:
        while at < record.row.position:
            following = next(leaves, None)
            if following is None:
                return None
            at, leaf = at + 1, following
        if leaf != record.row.leaf:
            return record.row
    return None


def first_difference_in(session: Session, path: Path) -> int | None:
    """The position of the first event of a bundle that the log has not got there, or None."""
    with open_bundle(path) as bundle:
        differing = first_difference(session.log, records_of(bundle))
        return None if differing is None else differing.position


def records_of(bundle: BundleFile) -> Iterator[BundleRecord]:
    """The events of a bundle, in the order of its log."""
    with bundle.open(EVENTS) as source:
        yield from read_records(source)


def _rows(log: EventLog, first: int) -> Iterator[StoredRow]:
    while rows := log.read_log(LogQuery(after_position=first - 1, limit=_PAGE)):
        yield from rows
        first = rows[-1].position + 1


def _written_here(rows: Iterable[StoredRow], workspace_id: str) -> Iterator[StoredRow]:
    """The events that were written where they are: neither imported from a copy, nor writers."""
    for row in rows:
        name = parse_stream(row.stream)
        if row.metadata is None or name is None or name.kind is StreamKind.WRITER:
            continue
        metadata: Any = msgpack.unpackb(row.metadata)
        origin = metadata.get("origin")
        if not isinstance(origin, dict) or origin.get("workspace") != workspace_id:
            yield row


def _unknown(log: EventLog, rows: Iterable[StoredRow]) -> Iterator[StoredRow]:
    known: dict[str, set[bytes | None]] = {}
    for row in rows:
        if row.stream not in known:
            known[row.stream] = {event.event_id for event in log.read_stream(row.stream)}
        if row.event_id not in known[row.stream]:
            yield row


def _told(row: StoredRow) -> str:
    return f"{row.topic} of {row.stream!r:.120} at {utc_time(row.recorded_at).isoformat()}"
