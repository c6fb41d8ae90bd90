"""Which events of a log are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Events of the log that fulfil all of the conditions given; without any, all events.

    `after_position` is exclusive, `upto_position` inclusive. `under` asks for a stream and the
    streams below it (`run/r` and `run/r/values/w`), `prefix` for all streams whose names begin
    so. At most the first `limit` events by position. Raises ValueError for an empty prefix.
    """

    after_position: int = 0
    upto_position: int | None = None
    under: str | None = None
    prefix: str | None = None
    topics: Sequence[str] = ()
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.prefix == "":
            raise ValueError("an empty prefix matches every stream; leave it out instead")

    @classmethod
    def at(cls, position: int) -> LogQuery:
        """The one event at a position."""
        return cls(after_position=position - 1, upto_position=position, limit=1)

    @property
    def all_streams(self) -> bool:
        """Whether events of every stream are asked for."""
        return self.under is None and self.prefix is None

    def takes(self, stream: str) -> bool:
        """Whether events of this stream are asked for."""
        return (self.under is None or f"{stream}/".startswith(f"{self.under}/")) and (
            self.prefix is None or stream.startswith(self.prefix)
        )

    def within(self, position: int) -> LogQuery:
        """The same, of the log as it was up to and including a position."""
        if self.upto_position is not None and self.upto_position <= position:
            return self
        return replace(self, upto_position=position)
