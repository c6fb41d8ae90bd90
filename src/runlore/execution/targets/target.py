"""The contract of a compute target: a place where submitted runs execute.

A target only places runs: the process that executes one is its supervisor, which is the same
everywhere. Another package brings a kind of target as a subclass of `Target`, named in the
entry-point group `runlore.targets` under the name of its kind; it must pass
`runlore.testing.targets.TargetContract`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from runlore.exceptions import RunConfigurationException

if TYPE_CHECKING:
    from runlore.domain.definition import Definition
    from runlore.domain.events import Event
    from runlore.domain.run_commands import EndRun, LoseRun
    from runlore.domain.run_state import RunState
    from runlore.engine.runs.handle import RunHandle
    from runlore.engine.session import LiveSession

DEFAULT_GRACE_S: Final = 10.0
"""The seconds between TERM and KILL for a target without a setting of its own."""


class Placement(ABC):
    """A run on its way to a target, from before it is recorded until it can start.

    In between it may hold something that shows others that the run is taken care of, such as a
    lock. Submitting calls, in this order:

        target.check(definition)
        placement = target.prepare(run_id, environment, definition)
        placement.announce()
        ...  # records the run, together with target.recorded()
        placement.place()
    """

    @abstractmethod
    def announce(self) -> None:
        """Leave all that is needed to start the run if this process dies after recording it.

        Called before the run is recorded.
        """

    @abstractmethod
    def place(self) -> None:
        """Let the run start, now or when there is room; release or hand over all that is held.

        Called after the run was recorded. Raises OSError if the run cannot be started.
        """

    @abstractmethod
    def release(self) -> None:
        """Release all that is held. Called instead of `place` if recording the run raised."""


class Target(ABC):
    """A place where submitted runs execute. Made for each use; keeps nothing open."""

    kind: ClassVar[str]

    executes_here: ClassVar[bool] = True
    """Whether runs execute on this machine, so that it can say which programs there are."""

    def __init__(self, session: LiveSession, name: str, settings: Mapping[str, Any]) -> None:
        self.session = session
        self.name = name
        self.settings = settings

    @classmethod
    @abstractmethod
    def checked(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with defaults filled in. Raises ComputeTargetException for invalid ones."""

    @abstractmethod
    def check_workspace(self) -> None:
        """Raise ComputeTargetException if runs of this workspace cannot execute on the target."""

    def check(self, definition: Definition) -> None:
        """Raise if the target cannot execute what the definition asks for.

        Called before anything is recorded. Raises ComputeTargetException or
        RunConfigurationException.
        """
        if definition.node_count != 1 and definition.distribution != "none":
            raise RunConfigurationException(
                f"node_count is {definition.node_count}; the targets of this machine have one node"
            )

    @abstractmethod
    def prepare(
        self, run_id: str, environment: Mapping[str, str], definition: Definition
    ) -> Placement:
        """Reserve the run's id; `environment` is that of its supervisor (`launch`).

        It must reach the supervisor whole: it also says what is to be executed, and a supervisor
        that reads something else in the log executes nothing.

        Raises ExperimentExecutionException if another submission uses the id, or the target
        cannot take runs. Nothing is recorded then.
        """

    @abstractmethod
    def recorded(self) -> Sequence[Event]:
        """The events to commit together with the run's creation: that it is queued, if it is."""

    @abstractmethod
    def withdraw(self, run_id: str) -> None:
        """Remove all that was left for a run that will not start. Idempotent."""

    @abstractmethod
    def is_alive(self, run_id: str) -> bool | None:
        """Whether a supervisor takes care of a run that has left the queue and has not ended.

        False means that it never will again, so the run is lost. None means that it cannot be
        known from here: the run is left as it is. Called often, so it must be cheap.
        """

    @abstractmethod
    def settle(self) -> None:
        """Start queued runs that no other process will start. Called periodically by readers."""

    @abstractmethod
    def observe(self, run: RunHandle) -> None:
        """Record what only the target knows of a run that has not ended: silence, or its end.

        Called often by readers, for runs that wait as well.
        """

    def end_of(self, state: RunState) -> EndRun | LoseRun | None:
        """The end of a run that is not alive, as the target knows it; None if it does not."""
        return None

    @abstractmethod
    def forget(self, run_id: str) -> None:
        """Remove what was left for a run that is over. Idempotent."""

    def why_stuck(self, run_id: str, waiting_run_id: str) -> str | None:
        """Why a queued run never starts if another run waits for it; None if it may start."""
        return None
