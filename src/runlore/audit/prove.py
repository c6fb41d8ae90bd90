"""Proofs to take away: that an event is in the log, and that the log has only grown."""

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
    """No such event in the log."""

    def __init__(self, event: str) -> None:
        super().__init__(
            f"no event {event!r:.120} in the log; name one by its position, as RUN_ID@VERSION or "
            "STREAM@VERSION, or by its id (32 hexadecimal digits)"
        )
        self.event = event


def prove_event(audited: AuditedLog, event: str) -> dict[str, Any]:
    """The proof that an event is in the log, as JSON holds it; `offline.verify_proof` takes it.

    The event is named as `EventNotFound` says. The proof leads to the newest checkpoint, or, if
    none covers the event, to the log's head, for which nobody has signed. Raises EventNotFound;
    LogCorrupt where the event does not prove what it should. Cost: O(events).
    """
    position = _find(audited, event).position
    # As it is stored and hashed, which of a sealed event is not what readers see.
    row = StoredRow(*audited.log.scan().rows(position - 1, position, 1)[0])
    checkpoint = _newest_of(audited, row.position)
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
    """The proof that the later of two checkpoints is of a log that begins with the earlier's.

    Both sizes are those of kept checkpoints. Raises InvalidInput for others; LogCorrupt where the
    log is not that of the checkpoints. Cost: O(events).
    """
    earlier, later = (_kept(audited, one) for one in sorted((size, later_size)))
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
    """The proof again, if it is one: a log that was tampered with yields none."""
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
        rows = _of_id(audited, event)
    if not rows:
        raise EventNotFound(event)
    return rows[0]


def _of_id(audited: AuditedLog, event: str) -> list[StoredRow]:
    """Looks through the whole log: ids are not indexed."""
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


def _newest_of(audited: AuditedLog, position: int) -> Checkpoint:
    kept = [one for one in audited.kept.checkpoints() if one.size >= position]
    if kept:
        return kept[-1]
    head = audited.log.head()
    return Checkpoint(unsigned_text(audited.origin, head.size, head.frontier.root) + "\n")


def _kept(audited: AuditedLog, size: int) -> Checkpoint:
    found = audited.kept.checkpoint(size)
    if found is None:
        sizes = ", ".join(str(one.size) for one in audited.kept.checkpoints()) or "none"
        raise InvalidInput(
            f"no checkpoint of {size} events was kept; there are: {sizes} "
            "(make one with `runlore audit checkpoint create`)"
        )
    return found


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
