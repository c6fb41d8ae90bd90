"""Portable proofs: that an event is in the log, and that the log has only grown."""

from __future__ import annotations

import base64
from typing import Any, Final

from runlore.audit.audited import AuditedLog
from runlore.audit.checkpoints import leaves_of, unsigned_text
from runlore.audit.offline import Checkpoint, NotProved, verify_proof
from runlore.domain.errors import InvalidInput, NotFound
from runlore.domain.ids import stream_of
from runlore.storage.errors import LogCorrupt
from runlore.storage.event_log import StoredRow
from runlore.storage.log_query import LogQuery
from runlore.storage.merkle_proofs import consistency_ranges, inclusion_ranges, roots_of

_FORMAT: Final = 1
_CHUNK: Final = 4096
_EVENT_ID_DIGITS: Final = 32


class EventNotFound(NotFound):
    """The log has no such event."""

    def __init__(self, event: str) -> None:
        super().__init__(
            f"no event {event!r:.120} in the log; name one by its position, as RUN_ID@VERSION or "
            "STREAM@VERSION, or by its id (32 hexadecimal digits)"
        )
        self.event = event


def prove_event(audited: AuditedLog, event: str) -> dict[str, Any]:
    """The proof that an event is in the log, ready for JSON; `offline.verify_proof` takes it.

    `event` is a position, `RUN_ID@VERSION`, `STREAM@VERSION` or an event's id. The proof leads to
    the newest checkpoint or, if none covers the event, to the log's head, which nobody has
    signed. Raises EventNotFound; LogCorrupt if the log does not prove the event. O(events).
    """
    position = _find(audited, event).position
    # The stored and hashed row: of a sealed event, readers get something else.
    row = StoredRow(*audited.log.scan().rows(position - 1, position, 1)[0])
    checkpoint = _checkpoint_over(audited, row.position)
    index = row.position - 1
    path = roots_of(
        inclusion_ranges(index, checkpoint.size), leaves_of(audited.log, checkpoint.size)
    )
    return _proved(
        {
            "runlore_proof": "inclusion",
            "format": _FORMAT,
            "event": {
                "position": row.position,
                "stream": row.stream,
                "version": row.version,
                "topic": row.topic,
                "event_id": _base64(row.event_id),
                "recorded_at": row.recorded_at,
                "metadata": _base64(row.metadata),
                "state": _base64(row.state),
            },
            "index": index,
            "path": [_base64(node) for node in path],
            "checkpoint": checkpoint.note,
        }
    )


def prove_consistency(audited: AuditedLog, size: int, later_size: int) -> dict[str, Any]:
    """The proof that the log only grew between two checkpoints, named by their sizes.

    Raises InvalidInput if there is no checkpoint of a size; LogCorrupt if the log does not match
    the checkpoints. O(events).
    """
    earlier, later = (_kept(audited, each) for each in sorted((size, later_size)))
    path = roots_of(
        consistency_ranges(earlier.size, later.size), leaves_of(audited.log, later.size)
    )
    return _proved(
        {
            "runlore_proof": "consistency",
            "format": _FORMAT,
            "path": [_base64(node) for node in path],
            "earlier": earlier.note,
            "later": later.note,
        }
    )


def _proved(document: dict[str, Any]) -> dict[str, Any]:
    """The proof, once it is verified: a log that was tampered with yields none."""
    try:
        verify_proof(document, [])
    except NotProved as error:
        raise LogCorrupt(
            f"the log does not prove it: {error}; look at it with `runlore audit verify`"
        ) from error
    return document


def _find(audited: AuditedLog, event: str) -> StoredRow:
    if event.isascii() and event.isdecimal() and len(event) < 19:
        position = int(event)
        rows = audited.log.read_log(LogQuery.at(position))
    elif "@" in event:
        stream, _, version = event.rpartition("@")
        if not (version.isascii() and version.isdecimal() and len(version) < 19):
            raise EventNotFound(event)
        rows = [
            row
            for row in audited.log.read_stream(stream_of(stream), after_version=int(version) - 1)
            if row.version == int(version)
        ]
    else:
        rows = _rows_of_id(audited, event)
    if not rows:
        raise EventNotFound(event)
    return rows[0]


def _rows_of_id(audited: AuditedLog, event: str) -> list[StoredRow]:
    """Scans the whole log, because ids are not indexed."""
    try:
        event_id = bytes.fromhex(event)
    except ValueError:
        return []
    after = 0
    while len(event) == _EVENT_ID_DIGITS:
        rows = audited.log.read_log(LogQuery(after_position=after, limit=_CHUNK))
        found = [row for row in rows if row.event_id == event_id]
        if found or not rows:
            return found
        after = rows[-1].position
    return []


def _checkpoint_over(audited: AuditedLog, position: int) -> Checkpoint:
    newest = audited.kept.last()
    if newest is not None and newest.size >= position:
        return newest
    head = audited.log.head()
    return Checkpoint(unsigned_text(audited.origin, head.size, head.frontier.root) + "\n")


def _kept(audited: AuditedLog, size: int) -> Checkpoint:
    found = audited.kept.checkpoint(size)
    if found is None:
        sizes = ", ".join(str(each.size) for each in audited.kept.checkpoints()) or "none"
        raise InvalidInput(
            f"there is no checkpoint of {size} events, only of: {sizes} "
            "(make one with `runlore audit checkpoint create`)"
        )
    return found


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
