"""The kinds of compute targets: those that runlore brings, and those of installed packages."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from runlore.exceptions import ComputeTargetException
from runlore.execution.targets.attached import state_of
from runlore.execution.targets.local import LocalTarget
from runlore.execution.targets.pool import Pool
from runlore.execution.targets.target import Target

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession

ENTRY_POINTS: Final = "runlore.targets"


_OURS: Final[Mapping[str, type[Target]]] = {LocalTarget.kind: LocalTarget, Pool.kind: Pool}


def kinds() -> dict[str, type[Target]]:
    """The kinds of targets by name."""
    found = dict(_OURS)
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name not in found:
            found[entry.name] = entry.load()
    return found


def kind_of(name: str) -> type[Target]:
    """The kind of this name. Raises ComputeTargetException, which lists the known kinds."""
    if name in _OURS:  # Without looking through all installed packages.
        return _OURS[name]
    known = kinds()
    if name not in known:
        raise ComputeTargetException(
            f"no kind of compute target {name!r}; there are: {', '.join(known)}. Others come with "
            f"packages that have an entry point in {ENTRY_POINTS!r}"
        )
    return known[name]


def target_of(session: LiveSession, name: str) -> Target:
    """The attached target of this name. Raises as `state_of` and `kind_of` do."""
    state = state_of(session, name)
    return kind_of(state.type)(session, name, state.settings)
