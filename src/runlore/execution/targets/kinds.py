"""The kinds of compute targets: those that runlore brings, and those of installed packages."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from runlore.exceptions import ComputeTargetException
from runlore.execution.targets import used
from runlore.execution.targets.attached import state_of
from runlore.execution.targets.engines.engine import Engine
from runlore.execution.targets.engines.on_engine import on_engine
from runlore.execution.targets.local import LocalTarget
from runlore.execution.targets.pool import Pool
from runlore.execution.targets.target import Target

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from runlore.domain.compute_target import TargetState
    from runlore.engine.session import LiveSession

ENTRY_POINTS: Final = "runlore.targets"


_HERE: Final[Mapping[str, type[Target]]] = {LocalTarget.kind: LocalTarget, Pool.kind: Pool}
"""The kinds of this machine: they need no trust, and are looked after in every workspace."""

# Found as those of other packages are: few processes need them.
_ENGINES: Final[Mapping[str, str]] = {
    "ray": "runlore.execution.targets.engines.ray:Ray",
    "slurm": "runlore.execution.targets.engines.slurm:Slurm",
}


def kind_of(name: str) -> type[Target]:
    """The kind of this name.

    Raises ComputeTargetException, which lists the known kinds, or says why this one cannot be
    loaded.
    """
    if name in _HERE:  # Without looking through all installed packages.
        return _HERE[name]
    if name in _ENGINES:
        module, _, engine = _ENGINES[name].partition(":")
        return _as_target(getattr(import_module(module), engine))
    brought = entry_points(group=ENTRY_POINTS)
    for entry in brought.select(name=name):
        return _loaded(entry)
    ours = [*_HERE, *_ENGINES]
    known = ", ".join([*ours, *sorted(brought.names - set(ours))])
    raise ComputeTargetException(
        f"no kind of compute target {name!r}; there are: {known}. Others come with "
        f"packages that have an entry point in {ENTRY_POINTS!r}"
    )


def _loaded(entry: EntryPoint) -> type[Target]:
    try:
        kind: type[Target] | type[Engine] = entry.load()
    except Exception as error:  # Whatever another package's import raises.
        package = entry.dist.name if entry.dist else entry.module
        raise ComputeTargetException(
            f"the kind of compute target {entry.name!r} cannot be loaded from {entry.value}: "
            f"{type(error).__name__}: {error}; install {package} again, with its extras",
            error,
        ) from error
    return _as_target(kind)


def _as_target(kind: type[Target] | type[Engine]) -> type[Target]:
    return on_engine(kind) if issubclass(kind, Engine) else kind


def target_of(session: LiveSession, name: str) -> Target:
    """The attached target of this name, which the user asked for.

    Raises as `state_of` and `kind_of` do.
    """
    state = state_of(session, name)
    return kind_of(state.type)(session, name, state.settings)


def note_use(session: LiveSession, name: str) -> None:
    """Note that this user has attached a target, or has submitted to it."""
    state = state_of(session, name)
    if state.type not in _HERE:
        used.note_use(session.require_held(), state)


def used_target(session: LiveSession, state: TargetState) -> Target | None:
    """An attached target, for a look that the user did not ask for.

    None if it is not on this machine and this user has neither attached it nor submitted to it: a
    log that comes from a stranger neither imports another package nor tells it what to do.
    """
    if state.type not in _HERE and not used.is_used(session.require_held(), state):
        return None
    return kind_of(state.type)(session, state.name, state.settings)
