"""Values that were dropped because they could be kept nowhere: their number goes into the log."""

from __future__ import annotations

from collections.abc import Mapping

from runlore.domain.decision import Decision
from runlore.domain.ids import run_stream
from runlore.domain.run import decide
from runlore.domain.run_commands import Alert
from runlore.domain.run_state import RunState, fold
from runlore.storage.journal import Journal, StreamState

TITLE = "values dropped"


def record_dropped(journal: Journal, counts: Mapping[str, int]) -> None:
    """Record an alert in each run of which values were dropped. Raises the log's error."""
    for run_id, count in counts.items():
        values = "1 logged value was" if count == 1 else f"{count:,} logged values were"
        command = Alert(
            TITLE,
            f"{values} dropped: the log could not be written, and the space for values that wait "
            "was full",
            "error",
        )

        def alert(state: RunState | None, command: Alert = command) -> Decision:
            return Decision() if state is None else decide(state, command, journal.author)

        stream: StreamState[RunState | None] = StreamState(run_stream(run_id), fold, None)
        journal.change(stream, alert)
