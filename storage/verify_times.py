"""The pass of a verification over what a log keeps to answer as of a time.

Leaves cover each event's times, but not the table of steps made from them, nor how far times were
settled: see `runlore.storage.as_of_times`.
"""

from __future__ import annotations

from collections.abc import Sequence

from runlore.storage.as_of_times import AS_OF, Steps, time_in
from runlore.storage.clock import SKEW_US
from runlore.storage.findings import Findings, Kind
from runlore.storage.log_head import LogHead
from runlore.storage.log_scan import Row, Times


class TimesPass:
    """Makes the steps again from the rows, and compares them with the log's.

    `times` is None for a log that keeps none, or a text that says why they cannot be read.
    """

    def __init__(
        self, times: Times | str | None, head: LogHead, now: int, findings: Findings
    ) -> None:
        self._times = times
        self._head = head
        self._latest = now + SKEW_US
        self._findings = findings
        self._steps = Steps()

    def see(self, rows: Sequence[Row]) -> None:
        """Add the steps of these rows."""
        for row in rows:
            position, recorded_at, metadata = row[0], row[6], row[7]
            if type(metadata) is bytes and type(recorded_at) is int:
                as_of = time_in(metadata, AS_OF, recorded_at)
                if as_of < recorded_at:
                    self._steps.add(as_of, position)

    def run(self, recorded_at: int) -> None:
        """Compare; `recorded_at` is the time of the last event."""
        if self._head.recorded_at > max(self._latest, recorded_at):
            self._findings.about_log(
                Kind.CHANGED,
                f"the head's time, {self._head.recorded_at} µs after 1970, is more than a day from "
                "now",
            )
        if self._times is None:
            return
        if isinstance(self._times, str):
            self._findings.about_log(Kind.UNREADABLE, f"the tables of times: {self._times}")
            return
        until = self._times.settled_until
        if until >= self._head.recorded_at or until > self._latest:
            self._findings.about_log(
                Kind.CHANGED,
                f"the log says that it was settled until {until} µs after 1970, which is after the "
                "head's time or more than a day from now",
            )
        if self._times.steps != self._steps:
            self._findings.about_log(
                Kind.MISLED,
                "the steps of times are not those of the events: reads as of a time could end at "
                "another event",
            )
