"""The compute targets of a workspace, as its log has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runlore.domain.compute_target import LOCAL, TargetState, fold
from runlore.domain.ids import COMPUTE_TARGETS, owner_of
from runlore.exceptions import ComputeTargetException
from runlore.execution.targets.target import DEFAULT_GRACE_S
from runlore.storage.codec import fact_of
from runlore.storage.log_query import LogQuery

if TYPE_CHECKING:
    from runlore.engine.session import Session


def attached(session: Session) -> dict[str, TargetState]:
    """The workspace's targets by name, in the order in which they were attached; local first."""
    states: dict[str, TargetState | None] = {LOCAL: TargetState(LOCAL, LOCAL, {})}
    for row in session.log.read_log(LogQuery(prefix=COMPUTE_TARGETS)):
        name = owner_of(row.stream)
        states[name] = fold(states.get(name), (fact_of(row),))
    return {name: state for name, state in states.items() if state is not None}


def state_of(session: Session, name: str) -> TargetState:
    """The attached target of this name. Raises ComputeTargetException, which lists the others."""
    states = attached(session)
    if name not in states:
        raise ComputeTargetException(
            f"no compute target {name!r} in workspace {session.workspace.name!r}; it has: "
            f"{', '.join(states)}. Attach one with "
            f"ComputeTarget.attach(workspace, {name!r}, slots=2)"
        )
    return states[name]


def grace_s_of(session: Session, name: str) -> float:
    """The seconds between TERM and KILL on a target; the default if it was deleted."""
    state = attached(session).get(name)
    return grace_s_in(state.settings if state else {})


def grace_s_in(settings: Mapping[str, Any]) -> float:
    """The seconds between TERM and KILL in a target's settings."""
    return float(settings.get("grace_s", DEFAULT_GRACE_S))
