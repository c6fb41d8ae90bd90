"""An event as it was recorded: its payload and its envelope (where, when and by whom)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

TIME_END: Final = 253_402_300_800_000_000
"""The year 10,000, in microseconds since 1970: later times cannot be shown."""


class Fact(NamedTuple):
    """A recorded event, in the form that folds take.

    `data` is the payload upcast to the newest version of its topic, or None where this runlore
    does not know the topic (the event is then kept and skipped). Times are in microseconds since
    1970 UTC: `recorded_at` gives the order and never decreases along positions; `observed_at` is
    what the writer's clock said, and what people see. The two differ where clocks disagree.
    `actor` is set only if it differs from the writer's own (see `WriterOpened`).

    `damage` says why an event cannot be decoded; None for all others. Its `data` is None, so folds
    pass over it, and columns that are damaged have a plain value: "", 0 or the time before.
    """

    position: int
    stream: str
    version: int
    topic: str
    data: dict[str, Any] | None
    event_id: bytes | None
    recorded_at: int
    observed_at: int
    writer_id: str | None
    reason: str | None = None
    actor: str | None = None
    damage: str | None = None

    @property
    def time(self) -> datetime:
        """When its writer observed the event, as an aware UTC time."""
        return utc_time(self.observed_at)

    @property
    def author(self) -> str | None:
        """The writer and, if the change is not the writer's own, the actor."""
        return author_of(self.writer_id, self.actor)


def author_of(writer_id: str | None, actor: str | None) -> str | None:
    """One text for a writer and another actor that it wrote for, to tell authors apart.

    >>> author_of("w1", None), author_of("w1", "ada")
    ('w1', 'w1/ada')
    """
    return writer_id if actor is None else f"{writer_id or ''}/{actor}"


def utc_time(microseconds: int) -> datetime:
    """The aware UTC time of a number of microseconds since 1970.

    >>> utc_time(1_700_000_000_123_456).isoformat()
    '2023-11-14T22:13:20.123456+00:00'
    """
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
