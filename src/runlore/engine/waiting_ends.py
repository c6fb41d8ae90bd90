"""Ends of runs that could not be written when they came, and waited in a spool."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from runlore.domain import run as runs
from runlore.domain.decision import Decision
from runlore.domain.errors import (
    ChangeRefusedError,
    InvalidInput,
    InvalidType,
    RunGone,
    RunNotFound,
)
from runlore.domain.ids import run_stream
from runlore.domain.run_state import RunState, fold
from runlore.domain.status import Status
from runlore.storage.journal import Journal, StreamState
from runlore.storage.spool_format import EndIntent


def record_ends(journal: Journal, intents: Sequence[EndIntent]) -> None:
    """Record the ends, as observed when they came; those of runs that have ended change nothing.

    Raises the log's error if it cannot be written.
    """
    for intent in intents:
        command = runs.EndRun(Status(intent.status), intent.error)

        def decide(state: RunState | None, command: runs.EndRun = command) -> Decision:
            return runs.decide(state, command, journal.author)

        # A spool may name any run: one that is gone, or was never there, has no end to record.
        with suppress(RunNotFound, RunGone, ChangeRefusedError, InvalidInput, InvalidType):
            stream: StreamState[RunState | None] = StreamState(
                run_stream(intent.run_id), fold, None
            )
            journal.change(stream, decide, observed_at=intent.observed_at)
