"""What all parts of a run share: its id, its experiment, its stream and the way to change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from runlore.domain.errors import RunNotFound

if TYPE_CHECKING:
    from runlore.domain.run import Command
    from runlore.domain.run_state import RunState
    from runlore.engine.session import RunStream, Session
    from runlore.experiment import Experiment
    from runlore.storage.run_values import RunValues
    from runlore.storage.spool_puts import FloatPut, FloatPutAt
    from runlore.workspace import Workspace


NONE_YET: Final[Mapping[str, Any]] = MappingProxyType({})


def shown_as_lost(state: RunState, why: str) -> RunState:
    """The state as it would be if the loss could be recorded."""
    from runlore.domain.run import LOST
    from runlore.domain.status import Status

    canceled = state.status is Status.CANCEL_REQUESTED
    error = None if canceled else {"code": LOST, "message": why}
    return replace(state, status=Status.CANCELED if canceled else Status.FAILED, error=error)


class RunBase:
    """A run's handle. Cheap to make: nothing is read before it is needed."""

    # What most runs of a long list never need is on the class until then.
    _experiment: Experiment
    _id: str
    _stream: RunStream | None = None
    _run_values: RunValues | None = None
    # Of its values: what logs a float, by the metric's name.
    _puts: Mapping[str, FloatPut] = NONE_YET
    _puts_at: Mapping[str, FloatPutAt] = NONE_YET
    # What is shown of a lost run by those who may not record that it is lost.
    _derived: RunState | None = None
    # A launcher that runs a submitted script owns the run's status.
    _owns_status: bool = True

    @property
    def id(self) -> str:
        """The run's id, unique in the workspace."""
        return self._id

    @property
    def experiment(self) -> Experiment:
        """The experiment that holds the run."""
        return self._experiment

    @property
    def _folded(self) -> RunStream:
        """The run's stream, as far as this object has read it."""
        if self._stream is None:
            self._stream = self._session.run(self._id)
        return self._stream

    @property
    def _workspace(self) -> Workspace:
        return self._experiment.workspace

    @property
    def _session(self) -> Session:
        return self._experiment.workspace._live

    @property
    def _held(self) -> RunState:
        """The state as far as this object has read it; reads it if it never has."""
        return self._derived or self._folded.state or self._newest()

    def _newest(self) -> RunState:
        """The state with all that was committed, by any process, up to now."""
        session = self._session
        state = session.journal.refresh(self._folded)
        if state is None:
            raise RunNotFound(self._id, f"workspace {session.workspace.name!r}")
        if state.submitted and state.ended_at is None:
            lost = session.why_lost(self._folded)
            state = session.journal.refresh(self._folded)
            assert state is not None, "a run stays in the log"
            self._derived = None if lost is None else shown_as_lost(state, lost)
        return self._derived or state

    def _change(
        self, command: Command, *, with_values: bool = False, reason: str | None = None
    ) -> None:
        self._session.change_run(
            self._folded, command, with_values=with_values, reason=checked_reason(reason)
        )

    @property
    def _values(self) -> RunValues:
        """What this process logs into the run."""
        return self._run_values or self._open_values()

    def _open_values(self, *, fresh: bool = False) -> RunValues:
        values = self._run_values = self._session.values.of_run(self._id, fresh=fresh)
        self._puts, self._puts_at = values.puts, values.puts_at
        return values


def checked_reason(reason: str | None) -> str | None:
    """The reason given for a change. Raises InvalidType or InvalidInput for one that cannot be."""
    if reason is None:
        return None
    from runlore.domain.text import check_text

    return check_text(reason, "reason")
