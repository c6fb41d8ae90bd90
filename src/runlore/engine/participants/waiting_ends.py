"""Ends of runs that could not be written when they came, and waited in a spool."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from runlore.domain.decision import Decision
from runlore.domain.errors import (
    ChangeRefusedError,
    InvalidInput,
    InvalidType,
    RunGone,
    RunNotFound,
)
from runlore.domain.ids import run_stream
from runlore.domain.leaving import Outcome, decide_heard, end_of, reason_of
from runlore.domain.run_state import RunState, fold
from runlore.domain.status import TERMINAL, Status
from runlore.engine.participants.others import (
    Participant,
    forget_outcomes,
    others_in,
    show_outcome,
)
from runlore.engine.participants.own import Participation
from runlore.storage.held_path import HeldPath
from runlore.storage.journal import Journal, StreamState
from runlore.storage.participants import Part, remove_parts
from runlore.storage.spool_folder import has_spool
from runlore.storage.spool_format import EndIntent


class WaitingEnds:
    """Records how processes left runs, from their spools; an end that was recorded since stays.

    While another process takes part in a run, the outcome is kept for it, as if the process could
    have left in the usual way: see `runlore.engine.runs.leaving`.
    """

    def __init__(
        self,
        journal: Journal,
        files: HeldPath | None,
        spools: HeldPath | None,
        participation: Participation,
    ) -> None:
        self._journal = journal
        self._files = files
        self._spools = spools
        self._participation = participation
        self._undecided: set[str] = set()

    def record(self, writer_id: str, intents: Sequence[EndIntent]) -> None:
        """Record what waited in a writer's spool, as observed when it came.

        Raises the log's error, or FileNotWritten, if it cannot be written.
        """
        for intent in intents:
            # A spool may name any run: one that is gone, or was never there, has no end to record.
            with suppress(RunNotFound, RunGone, ChangeRefusedError, InvalidInput, InvalidType):
                self._record(writer_id, intent)

    def _record(self, writer_id: str, intent: EndIntent) -> None:
        run_id = intent.run_id
        stream: StreamState[RunState | None] = StreamState(run_stream(run_id), fold, None)
        state = self._journal.refresh(stream)
        if state is None or state.status in TERMINAL or state.submitted:
            return
        if state.last_ended_at is not None and state.last_ended_at >= intent.observed_at:
            return  # It was recorded before, and the run was resumed; spools may tell it again.
        is_ours = writer_id == self._journal.writer_id
        since = self._participation.since(run_id) if is_ours else None
        own = Outcome(Status(intent.status), intent.error, intent.observed_at)
        part = Part(writer_id, since or intent.observed_at, outcome=own)
        ended = self._end(stream, state, [part])
        if not ended and self._files is not None:
            show_outcome(self._files, self._journal.log, run_id, part)
            # Of two that leave at once, at least one sees both outcomes: see `leaving`.
            state = self._journal.refresh(stream)
            if state is not None and state.status not in TERMINAL:
                ended = self._end(stream, state, [part])
        if not ended:
            self._undecided.add(run_id)
        if is_ours:
            self._participation.forget(run_id)

    def finish(self) -> None:
        """End the runs of processes that all died, now that all of their spools were read.

        Raises the log's error.
        """
        while self._undecided:
            run_id = self._undecided.pop()
            stream: StreamState[RunState | None] = StreamState(run_stream(run_id), fold, None)
            state = self._journal.refresh(stream)
            if state is not None and state.status not in TERMINAL:
                self._end(stream, state, [])

    def _end(
        self, stream: StreamState[RunState | None], state: RunState, left: Sequence[Part]
    ) -> bool:
        """End a run, unless a process takes part in it that did not leave, or may still say how."""
        run_id, known = state.run_id, {part.writer_id for part in left}
        others = others_in(self._files, self._journal, state)
        others = [other for other in others if other.writer_id not in known]
        executes = self._journal.writer_id not in known and self._participation.executes(run_id)
        if executes or any(self._may_be_heard(other) for other in others):
            return False
        outcomes = [part.outcome for part in left if part.outcome is not None]
        outcomes += [other.outcome for other in others if other.outcome is not None]
        command = end_of(outcomes, [other.death for other in others if other.died])
        if command is None:
            return False
        at = max(outcome.at for outcome in outcomes) if outcomes else None

        def decide(state: RunState | None) -> Decision:
            return decide_heard(state, command, self._journal.author, None)

        self._journal.change(stream, decide, observed_at=at, reason=reason_of(command))
        if self._files is not None:
            remove_parts(self._files, run_id, wipe=self._journal.log.erasable)
        forget_outcomes(self._journal.log, run_id, others)
        return True

    def _may_be_heard(self, other: Participant) -> bool:
        if other.forked:
            return False
        unread = self._spools is not None and has_spool(self._spools, other.writer_id)
        return other.may_be_alive or (other.outcome is None and unread)
