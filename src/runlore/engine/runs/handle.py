"""The handle of one run in an open workspace: its state, changes, values and files."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from runlore.domain import run as runs
from runlore.domain import run_commands as commands
from runlore.domain.decision import Decision
from runlore.domain.errors import RunloreError, RunNotFound
from runlore.domain.ids import check_run_id
from runlore.domain.leaving import decide_heard, end_of
from runlore.domain.run_state import RunState
from runlore.domain.status import TERMINAL, Status
from runlore.domain.text import check_text
from runlore.engine.exits.watch import watch_process
from runlore.engine.participants.others import others_in
from runlore.engine.past import PastSession
from runlore.engine.session import LiveSession, Session
from runlore.engine.streams import RunStream, stream_of_run
from runlore.storage import interruptions
from runlore.storage.errors import LogCorrupt
from runlore.storage.run_folder import RunFolder
from runlore.storage.writers import Life, state_of

if TYPE_CHECKING:
    from runlore.domain.events import Event
    from runlore.domain.fact import Fact
    from runlore.storage.artifacts import ArtifactStore
    from runlore.storage.run_values import RunValues

UNKNOWN_STATUS: Final = "unknown (copied workspace)"
"""The status of a run that was executing when its workspace was copied, in the copy."""
_LOOK_INTERVAL_S: Final = 1.0
_NO_FOLDERS: Final[Mapping[str, Path]] = MappingProxyType({})


class RunHandle:
    """A run by its id. Cheap to make: nothing is read before it is needed.

    `watched` are the folders that this process keeps when the run ends: absolute paths by the
    prefix of their files' names. `owns_status` is False if a launcher ends the run; with `leaves`,
    this process is one of several that execute it, and ends only its own part.
    """

    __slots__ = (
        "_look_at",
        "_session",
        "_should_stop",
        "_shown_as_lost",
        "_stream",
        "id",
        "leaves",
        "owns_status",
        "watched",
    )

    def __init__(self, session: Session, run_id: str) -> None:
        self.id = run_id
        self.watched = _NO_FOLDERS
        self.owns_status = True
        self.leaves = False
        self._session = session
        self._stream: RunStream | None = None
        # The state of a lost run, in processes that may not record the loss.
        self._shown_as_lost: RunState | None = None
        self._should_stop = False
        self._look_at = 0.0

    @classmethod
    def existing(cls, session: Session, run_id: str) -> RunHandle:
        """The run with an id, read from the log.

        Raises RunNotFound, LogCorrupt if its creation is damaged, InvalidInput for the id.
        """
        session.check_open()
        handle = cls(session, check_run_id(run_id))
        if handle.refresh() is None:
            raise handle._not_found()
        return handle

    @property
    def session(self) -> Session:
        """The workspace's session. Raises WorkspaceClosed after its `close()`."""
        self._session.check_open()
        return self._session

    def writable(self) -> LiveSession:
        """The session, for a change. Raises WorkspaceClosed, PastIsReadOnly."""
        return self._session.writable()

    @property
    def is_closed(self) -> bool:
        """Whether the workspace was closed."""
        return self._session.closed

    @property
    def stream(self) -> RunStream:
        """The run's stream, as far as this handle has read it."""
        if self._stream is None:
            self._stream = stream_of_run(self.id)
        return self._stream

    @property
    def state(self) -> RunState:
        """The state as this handle last read it; reads it if it never has."""
        return self._shown_as_lost or self.stream.state or self.fetch()

    @property
    def should_stop(self) -> bool:
        """Whether the run was asked to stop, or has ended; read from the log once a second.

        Never raises: while the log cannot be read, the last answer counts. A run that counts as
        lost goes on, as the process that asks is alive.
        """
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_INTERVAL_S
            with suppress(RunloreError):
                state = self.refresh()
                self._should_stop = state is not None and _is_asked_to_stop(state)
        return self._should_stop

    def refresh(self) -> RunState | None:
        """Read the stream's newest state; None if the run is not in the log."""
        return self.session.journal.refresh(self.stream)

    def fetch(self) -> RunState:
        """The newest state, with the commits of all processes. Raises as `existing` does."""
        session = self.session
        state = session.journal.refresh(self.stream)
        if state is None:
            raise self._not_found()
        if not state.submitted and state.status not in TERMINAL:
            if session.takes_part(self.id):
                self._shown_as_lost = None
            else:
                state = self._unless_lost(state)
        elif state.submitted and state.ended_at is None:
            why = session.why_lost(self.id)
            state = session.journal.refresh(self.stream)
            assert state is not None, "a run stays in the log"
            self._shown_as_lost = None if why is None else _as_lost(state, why)
        return self._shown_as_lost or state

    def _unless_lost(self, state: RunState) -> RunState:
        """The state of an interactive run, after its loss was recorded, if it is lost."""
        session = self.session
        may_be_lost = session.may_be_lost(self.id)
        state = session.journal.refresh(self.stream) or state
        self._shown_as_lost = None
        if may_be_lost and state.status not in TERMINAL:
            others = others_in(session.held, session.journal, state)
            deaths = [other.death for other in others if other.died]
            if deaths and not any(other.may_be_alive for other in others):
                outcomes = [other.outcome for other in others if other.outcome is not None]
                self._shown_as_lost = _as_ended(state, end_of(outcomes, deaths))
        return state

    def _not_found(self) -> RunloreError:
        damage = self.stream.at.damage
        if damage is None:
            session = self.session
            then = f" as of position {session.position}" if isinstance(session, PastSession) else ""
            return RunNotFound(self.id, f"workspace {session.workspace.name!r}{then}")
        return LogCorrupt(
            f"run {self.id} cannot be shown, because its creation is not known: {damage}; restore "
            "the log from a copy"
        )

    @property
    def is_elsewhere(self) -> bool:
        """Whether the run, as last read, executed in the original of this copied workspace.

        Whether it has ended there is unknown here.
        """
        state, session = self.state, self.session
        if state.status in TERMINAL or not session.is_copy:
            return False
        if state.submitted:
            try:
                return not RunFolder(session.require_held(), self.id).is_locked()
            except OSError:  # Another user's, or not what a submission makes.
                return True
        creator = state.created_by
        return creator is None or state_of(session.require_held(), creator).life is not Life.ALIVE

    @property
    def shown_status(self) -> str:
        """The status as last read, or that it is unknown, because the workspace is a copy."""
        return UNKNOWN_STATUS if self.is_elsewhere else str(self.state.status)

    @property
    def hidden_by(self) -> int | None:
        """The user as whom the run executes, if this user cannot read its output before it ends."""
        workspace = self.session.executing
        owner = None if workspace is None else RunFolder(workspace, self.id).owner_uid()
        return None if os.geteuid() in (owner, 0) else owner

    @property
    def shown_detail(self) -> str | None:
        """What the run waits for, as last read, why nothing starts it, or whose it is."""
        detail, why = self.state.status_detail, None
        if self.state.status is Status.QUEUED:
            why = self.session.why_queued(self.id)
        elif self.state.submitted and (owner := self.hidden_by) is not None:
            why = f"executes as user {owner}: its output is private to that user until it ends"
        return "; ".join(filter(None, (detail, why))) or None

    def change(
        self,
        command: commands.Command,
        *,
        flush_values: bool = False,
        reason: str | None = None,
    ) -> Sequence[Fact]:
        """Run a command; `flush_values` writes this process's waiting values in the same commit.

        The history shows the `reason`. Returns the facts that were appended. Raises the command's
        refusal, InvalidType or InvalidInput for the reason, PastIsReadOnly. A change that
        interrupts another call is put off, and returns nothing.
        """
        session = self.writable()
        since = session.participation.since(self.id)
        left_at = session.participation.left_at(self.id)
        return session.change(
            self.stream,
            lambda state: decide_heard(state, command, session.journal.author, since, left_at),
            flush_values=flush_values,
            reason=None if reason is None else check_text(reason, "reason"),
        )

    def check(self, command: commands.Command) -> None:
        """Raise the error that the command would raise on the state last read; change nothing."""
        refused = runs.decide(self.stream.state, command, None).refused
        if refused is not None:
            raise refused

    def write_values(self) -> None:
        """Write this process's waiting values, of all runs; puts it off in an interruption."""
        self.writable().write_values()

    def create(
        self, command: commands.CreateRun, events: Sequence[Event] = (), *, is_fresh: bool = False
    ) -> None:
        """Create the run, with more events of its stream in the same commit.

        `is_fresh` says that its id was made just now.
        """
        session = self.writable()
        self.stream.is_fresh = is_fresh

        def decide(state: RunState | None) -> Decision:
            created = runs.decide(state, command, session.journal.author)
            return Decision((*created.events, *events))

        session.change(self.stream, decide)

    def values(self, *, fresh: bool = False) -> RunValues:
        """The values that this process logs; `fresh` if it has just created the run."""
        session = self.writable()
        if fresh:
            session.participation.created(self.id)
        elif interruptions.interrupts():
            interruptions.put_off(self.join)
        else:
            self.join()
        return session.values_of(self.id, fresh=fresh)

    def join(self) -> None:
        """Take part in the run, until this process leaves it; see `runlore.engine.runs.leaving`."""
        state = self.stream.state
        if state is None or not state.submitted:  # Else its supervisor is the one that lives.
            self.writable().participation.join(self.id)
            watch_process()

    def end_with_process(self, ends: bool = True) -> None:
        """Let the end of this process be that of the run, which it started, resumed or joined.

        Unless others execute it as well: see `runlore.engine.runs.leaving`. If not `ends`, the
        process's end says nothing about the run.
        """
        session = self.writable()
        if not session.is_memory:  # Of such a run nobody else would see the end.
            session.participation.end_with_process(self.id, self if ends else None)
            watch_process()

    @property
    def artifacts(self) -> ArtifactStore:
        """The store of the run's files. Raises RunGone if the run was erased."""
        return self.session.artifacts_of(self.id)


def _is_asked_to_stop(state: RunState) -> bool:
    return state.status is Status.CANCEL_REQUESTED or (state.status in TERMINAL and not state.lost)


def _as_ended(state: RunState, end: commands.EndRun | commands.LoseRun | None) -> RunState | None:
    """The state that the run would have if its processes' end could be recorded."""
    if isinstance(end, commands.EndRun):
        return replace(state, status=end.status, error=end.error and dict(end.error))
    return None if end is None else _as_lost(state, end.message)


def _as_lost(state: RunState, why: str) -> RunState:
    """The state that the run would have if the loss could be recorded."""
    canceled = state.status is Status.CANCEL_REQUESTED
    error = None if canceled else {"code": runs.LOST, "message": why}
    return replace(state, status=Status.CANCELED if canceled else Status.FAILED, error=error)
