"""An event as it was recorded: its payload and its envelope (where, when and by whom)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple


class Fact(NamedTuple):
    """A recorded event, in the form that folds take.

    `data` is the payload upcast to the newest version of its topic, or None where this runlore
    does not know the topic (the event is then kept and skipped). `recorded_at` is in
    microseconds since 1970 UTC and never decreases along positions. `actor` is set only if
    it differs from the writer's own (see `WriterOpened`).
    """

    position: int
    stream: str
    version: int
    topic: str
    data: dict[str, Any] | None
    event_id: bytes | None
    recorded_at: int
    writer_id: str | None
    reason: str | None = None
    actor: str | None = None

    @property
    def time(self) -> datetime:
        """When the event was recorded, as an aware UTC time."""
        return utc_time(self.recorded_at)


def utc_time(microseconds: int) -> datetime:
    """The aware UTC time of a number of microseconds since 1970.

    >>> utc_time(1_700_000_000_123_456).isoformat()
    '2023-11-14T22:13:20.123456+00:00'
    """
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
