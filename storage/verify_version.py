"""The pass of a verification over what events ask of their readers: does the log's version say so?

An older runlore writes to a log whose version was lowered, and decides without the events that it
passes over. Sealed events do not tell what they ask for.
"""

from __future__ import annotations

from collections.abc import Sequence

from runlore.storage.codec import log_version_in
from runlore.storage.findings import Findings, Kind
from runlore.storage.log_scan import Row


class VersionPass:
    """Compares the log's version, None if it cannot be wrong, with the one that events ask for."""

    def __init__(self, version: int | None, findings: Findings) -> None:
        self._version = version
        self._findings = findings
        self._asked = 1

    def see(self, rows: Sequence[Row]) -> None:
        """Look at the topics and schema versions of rows."""
        for row in rows:
            topic, state = row[3], row[4]
            if type(topic) is str and type(state) is bytes:  # Else it is found to be changed.
                self._asked = max(self._asked, log_version_in(topic, state))

    def run(self) -> None:
        """Add a finding if the version is too low."""
        if self._version is not None and self._version < self._asked:
            self._findings.about_log(
                Kind.CHANGED,
                f"the log's version is {self._version}, but events in it ask for {self._asked}: an "
                "older runlore would pass over them and write to it",
            )
