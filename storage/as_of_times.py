"""Which events a log holds as of a time, although clocks disagree.

Each event has three times in the log:

- `observed_at`: the clock of its writer when it was appended; or when it happened, for what a
  process left behind and another one recorded. People see it.
- `recorded_at`: max(the clock of its writer, the head's time). It never decreases along positions.
- `as_of`: max(the clock of its writer, S + 1), where S is the latest time that was settled before
  the event was appended. The event and all before it count from then on.

As of a time t the log ends at the last position with `as_of` <= t. Where nobody asked before, that
is the longest prefix in which each event was observed, by itself or by a later event, at or before
t: a clock that was ten years ahead delays what it recorded only until the next event of a clock
that was right.

An answer as of a time u never changes once a time t >= u is settled. `EventLog.settle(t)` makes
S >= t, and S never decreases. So the `as_of` of each later event is at least S + 1 > t >= u, and it
is not among those that count as of u; the `as_of` of an event in the log does not change.

Settling t also moves the head's time to at least t + 1, so `as_of` <= `recorded_at`. The two are
equal unless the writer's clock was behind the head's time; otherwise the metadata has `as_of`. An
event of another application, or of a runlore that did not know of `as_of`, counts from
`recorded_at` on, which is past S as well.

Two searches find the last position: `recorded_at` ascends, so one finds the last event recorded at
or before t, which counts as of t. Of later events only those with an `as_of` of their own matter,
and of these only the *steps*, whose `as_of` no later event undercuts. Their positions ascend with
their `as_of`, and a new step removes those at or after its `as_of` from the end.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import Any

import msgpack

AS_OF = "as_of"
OBSERVED_AT = "observed_at"

NEVER_SETTLED = -1
"""As the latest time that was settled: before all times, which begin with 1970."""


def extra_times(observed_at: int, recorded_at: int, as_of: int) -> dict[str, int]:
    """The part of an event's metadata that says how its times differ from `recorded_at`."""
    times = {OBSERVED_AT: observed_at, AS_OF: as_of}
    return {name: time for name, time in times.items() if time != recorded_at}


def time_in(metadata: bytes | None, name: str, recorded_at: int) -> int:
    """One of an event's times by its metadata; `recorded_at` if it says nothing else."""
    if metadata is None or name.encode() not in metadata:
        return recorded_at
    try:
        found: Any = msgpack.unpackb(metadata)
    except Exception:  # Damaged, which msgpack reports in many ways. It fits no leaf either.
        return recorded_at
    time = found.get(name) if isinstance(found, dict) else None
    return time if type(time) is int else recorded_at


class Steps:
    """The steps of a log: (`as_of`, position) pairs, both ascending."""

    def __init__(self) -> None:
        self._as_of = array("q")
        self._positions = array("q")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Steps):
            return NotImplemented
        return (self._as_of, self._positions) == (other._as_of, other._positions)

    def add(self, as_of: int, position: int) -> None:
        """Add the last position so far, which counts earlier than it was recorded."""
        while self._as_of and self._as_of[-1] >= as_of:
            self._as_of.pop()
            self._positions.pop()
        self._as_of.append(as_of)
        self._positions.append(position)

    def last(self, time: int) -> int:
        """The position of the last step at or before a time; 0 if there is none."""
        number = bisect_right(self._as_of, time)
        return self._positions[number - 1] if number else 0
