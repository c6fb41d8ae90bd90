"""The interface of a compute target: a place that takes a run, and how one is found by name.

A target only places runs: what executes one is its supervisor, which is the same everywhere. Kinds
that other packages bring are found by the entry-point group `runlore.targets`, whose entries are
subclasses of `Target` under the name of their kind. `tests/contracts/test_targets.py` is what each
must pass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from runlore.domain.compute_target import LOCAL, TargetState, fold
from runlore.domain.ids import COMPUTE_TARGETS, owner_of
from runlore.exceptions import ComputeTargetException
from runlore.storage.codec import fact_of
from runlore.storage.log_query import LogQuery

if TYPE_CHECKING:
    from runlore.domain.events import Event
    from runlore.engine.session import LiveSession, Session

ENTRY_POINTS: Final = "runlore.targets"

DEFAULT_GRACE_S: Final = 10.0
"""The seconds between TERM and KILL where a target does not say otherwise."""


class Placement(NamedTuple):
    """A run that is to be placed: recorded, or about to be, with the environment to start it in.

    `lock_fd` holds the run's lock, so that nobody takes the run for lost before it has started.
    """

    run_id: str
    lock_fd: int
    environment: Mapping[str, str]


class Target(ABC):
    """A place where submitted runs execute. Made for each use; keeps nothing open."""

    kind: ClassVar[str]

    def __init__(self, session: LiveSession, name: str, settings: Mapping[str, Any]) -> None:
        self.session = session
        self.name = name
        self.settings = settings

    @classmethod
    @abstractmethod
    def checked(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings, complete; raises ComputeTargetException for what this kind cannot be."""

    @abstractmethod
    def recorded(self) -> list[Event]:
        """The events that go into the commit that creates the run: its waiting, if it waits."""

    @abstractmethod
    def announce(self, placement: Placement) -> None:
        """Called before that commit: leaves what is needed to find the run if we die after it."""

    @abstractmethod
    def place(self, placement: Placement) -> None:
        """Called after that commit: lets the run start, now or when there is room.

        Closes the placement's lock, or hands it over. Raises OSError if it cannot.
        """

    @abstractmethod
    def withdraw(self, run_id: str) -> None:
        """The run was canceled: takes away what waits for it. Nothing if there is nothing."""

    def settle(self) -> bool:
        """Called by readers now and then: starts what waits and has nobody to start it.

        Returns whether anything was started.
        """
        return False

    def why_stuck(self, run_id: str, waiting_run_id: str) -> str | None:
        """Why a run that waits here never starts if another run waits for it; None if it may."""
        return None


def kinds() -> dict[str, type[Target]]:
    """The kinds of targets by name: ours, and those of installed packages."""
    from runlore.execution.targets.local import LocalTarget
    from runlore.execution.targets.pool import Pool

    found: dict[str, type[Target]] = {LocalTarget.kind: LocalTarget, Pool.kind: Pool}
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name not in found:
            found[entry.name] = entry.load()
    return found


def attached(session: Session) -> dict[str, TargetState]:
    """The workspace's targets by name, in the order in which they were attached; local first."""
    states: dict[str, TargetState | None] = {LOCAL: TargetState(LOCAL, LOCAL, {})}
    for row in session.log.read_log(LogQuery(prefix=COMPUTE_TARGETS)):
        name = owner_of(row.stream)
        states[name] = fold(states.get(name), (fact_of(row),))
    return {name: state for name, state in states.items() if state is not None}


def settings_of(session: Session, name: str) -> Mapping[str, Any]:
    """The settings of a target; none if it was deleted meanwhile."""
    state = attached(session).get(name)
    return state.settings if state else {}


def state_of(session: Session, name: str) -> TargetState:
    """The attached target of this name. Raises ComputeTargetException, which names the others."""
    states = attached(session)
    if name not in states:
        raise ComputeTargetException(
            f"no compute target {name!r} in workspace {session.workspace.name!r}; it has: "
            f"{', '.join(states)}. Attach one with "
            f"ComputeTarget.attach(workspace, {name!r}, slots=2)"
        )
    return states[name]


def target_of(session: LiveSession, name: str) -> Target:
    """The target of this name. Raises ComputeTargetException as `state_of` and `kind_of` do."""
    state = state_of(session, name)
    return kind_of(state.type)(session, name, state.settings)


def kind_of(name: str) -> type[Target]:
    """The kind of this name. Raises ComputeTargetException, which names those that there are."""
    known = kinds()
    if name not in known:
        raise ComputeTargetException(
            f"no kind of compute target {name!r}; there are: {', '.join(known)}. Others come with "
            f"packages that have an entry point in {ENTRY_POINTS!r}"
        )
    return known[name]
