"""Moments of a workspace's history: a time, a position or a checkpoint."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runlore.domain.errors import InvalidInput
from runlore.domain.fact import TIME_END
from runlore.domain.human_time import TIME_FORMS, time_of
from runlore.storage.errors import LogBusy, LogReadOnly
from runlore.storage.log_query import LogQuery
from runlore.storage.patience import OF_A_READ, patience

if TYPE_CHECKING:
    from runlore.engine.session import Session
    from runlore.storage.event_log import EventLog

Moment = datetime | int | str | os.PathLike[str]
"""An aware time, a position, or a checkpoint; as text or the path of a checkpoint's file.

A text without a zone is a time in this machine's zone; see `runlore.domain.human_time`.
"""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CHECKPOINT_MAX_CHARS: Final = 100_000
_FORMS: Final = (
    f"it takes an aware datetime; a time as text: {TIME_FORMS}; "
    "a position of the log; or a checkpoint (its text, or the path of its file)"
)


def position_of(log: EventLog, moment: Moment, *, settles: bool = True) -> int:
    """The log's last position at that moment, which no later event changes.

    For a time, see `EventLog.position_at`. Raises MomentInFuture for a time that has not passed;
    InvalidInput for a position or checkpoint beyond the log's end, a datetime without a zone, and
    anything that is not a moment; LogReadOnly for a time after the last event if this process may
    not write to the log (see `EventLog.settle`), or if it `settles` nothing, as in a copied
    workspace: reading writes nothing to backups. Before it such a process gets an answer that a
    later event of a slow clock may change, unless the time was settled by somebody else. Raises
    LogBusy if another process keeps the turn to write, for a time that nobody has settled.
    """
    moment = parsed(log, moment)
    if isinstance(moment, datetime):
        return log.position_at(_settled(log, moment, settles))
    return moment


def position_in(session: Session, moment: Moment) -> int:
    """The last position at that moment, see `position_of`; a copied workspace settles nothing."""
    return position_of(session.log, moment, settles=not session.is_copy)


def first_position_since(session: Session, moment: Moment) -> int:
    """The position of the first event at or after a moment; one after the last if there is none.

    Raises as `position_of` does.
    """
    log = session.log
    moment = parsed(log, moment)
    if isinstance(moment, datetime):
        return log.position_at(_settled(log, moment, not session.is_copy) - 1) + 1
    return moment


def asked_at(session: Session) -> int:
    """The time that a session is asked about (µs since 1970 UTC): now, or that of its position."""
    position = getattr(session, "position", None)
    if position is None:
        return session.log.now_us()
    last = session.log.read_log(LogQuery(after_position=position - 1, limit=1))
    return last[0].recorded_at if last else 0


def parsed(log: EventLog, moment: Moment) -> datetime | int:
    """The moment as a time or as a position, whatever its form was.

    Ages such as `2 hours ago` count from this call: ask once, and go on with the answer. Times of
    texts without a zone have the offset of this machine's.

    Raises InvalidInput for a position or checkpoint beyond the log's end, and for anything that
    is not a moment.
    """
    if isinstance(moment, str | os.PathLike):
        moment = _parsed_text(log, moment)
    if isinstance(moment, datetime):
        return moment
    if isinstance(moment, bool) or not isinstance(moment, int):
        raise InvalidInput(f"{moment!r:.80} is not a moment of a workspace: {_FORMS}")
    head = log.last_position()
    if not 0 <= moment <= head:
        raise InvalidInput(f"there is no position {moment} in the log, which ends at {head}")
    return moment


def _settled(log: EventLog, time: datetime, settles: bool) -> int:
    """The time in microseconds since 1970, once no later event changes the log as of it."""
    if time.utcoffset() is None:
        raise InvalidInput(
            f"{time.isoformat()} has no time zone, so it is a different moment on each machine; "
            f"write {time.isoformat()}+00:00 for UTC, or use datetime.astimezone() for this "
            "machine's zone"
        )
    # In UTC the last hours of 9999 elsewhere are in a year that no time of an event is in.
    microseconds = min((time - _EPOCH) // timedelta(microseconds=1), TIME_END - 1)
    if not settles:
        _check_settled(log, time, microseconds, "in a copied workspace reading", None)
        return microseconds
    try:
        with patience(OF_A_READ):
            log.settle(microseconds)
    except LogBusy as error:
        raise LogBusy(
            f"{time.isoformat()} cannot be made a moment that stays as it is, which takes a write; "
            f"ask by position instead, {log.position_at(microseconds)} for now: {error}"
        ) from error
    except LogReadOnly as error:
        _check_settled(log, time, microseconds, "without write access this process", error)
    return microseconds


def _check_settled(
    log: EventLog, time: datetime, microseconds: int, who: str, error: LogReadOnly | None
) -> None:
    """Raise LogReadOnly for a time after the last event, where it cannot be settled."""
    last = log.last_position()
    if log.position_at(microseconds) == last:
        raise LogReadOnly(
            f"nothing was recorded after {time.isoformat()} yet, and {who} cannot keep others from "
            f"recording before it; use the log's last position, {last}"
        ) from error


def _parsed_text(log: EventLog, moment: str | os.PathLike[str]) -> datetime | int:
    text = os.fspath(moment)
    if _is_number(text):
        return int(text)
    if "\n" in text:
        return _end_of_checkpoint(log, text)
    time = time_of(text, datetime.now(UTC).astimezone())
    if time is not None:
        return time
    try:
        with Path(text).open(encoding="utf-8", errors="replace") as file:
            found = file.read(_CHECKPOINT_MAX_CHARS)
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte.
        raise InvalidInput(
            f"{text!r:.80} is not a moment of a workspace, nor a readable file: {_FORMS}"
        ) from error
    return _end_of_checkpoint(log, found)


def _is_number(text: str) -> bool:
    """Whether it is a whole number with no more digits than a position can have."""
    return text.isascii() and text.isdigit() and len(text) < 20


def _end_of_checkpoint(log: EventLog, text: str) -> int:
    """The position of the last event in the tree of a C2SP tlog-checkpoint."""
    lines = text.split("\n")
    size = lines[1] if len(lines) > 2 else ""
    if not _is_number(size):
        raise InvalidInput(
            f"{text!r:.80} is not a checkpoint: its second line is not the size of a tree"
        )
    head = log.head()
    if int(size) > head.size:
        raise InvalidInput(
            f"the checkpoint is of {size} events, but the log has {head.size}: it belongs to "
            "another workspace, or the log was truncated (see `runlore audit verify`)"
        )
    return int(size)  # Positions have no holes.
