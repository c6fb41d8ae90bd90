"""The kinds of compute targets: those that runlore brings, and those of installed packages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from runlore.exceptions import ComputeTargetException
from runlore.execution.targets import trusted
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


class TargetNotTrusted(ComputeTargetException):
    """A target of another place stands in the log, and this user has not said that it is right."""

    def __init__(self, state: TargetState) -> None:
        import shlex

        settings = json.dumps(dict(state.settings), sort_keys=True, default=repr)
        super().__init__(
            f"compute target {state.name!r} is not used, as you have not attached it: the log of "
            f"the workspace has it, as kind {state.type!r:.80} with {settings!s:.1000}, which "
            "whoever wrote the log has chosen. It would get what you submit, your environment and "
            "your tokens. If it is right, run `runlore computetarget trust -n "
            f"{shlex.quote(state.name)}`, or attach it yourself"
        )
        self.target = state.name


def target_of(session: LiveSession, name: str) -> Target:
    """The attached target of this name, for a use that the user asked for.

    Raises TargetNotTrusted, and as `state_of` and `kind_of` do.
    """
    state = state_of(session, name)
    if not _may_use(session, state):
        raise TargetNotTrusted(state)
    return kind_of(state.type)(session, name, state.settings)


def trust_target(session: LiveSession, state: TargetState) -> None:
    """Let this user's processes use a target as it is in `state`. Idempotent."""
    if state.type not in _HERE:
        trusted.trust(session, state)


def trusted_target(session: LiveSession, state: TargetState) -> Target | None:
    """An attached target, for a look that the user did not ask for.

    None if this user does not trust it: a log that comes from a stranger neither imports another
    package nor tells it what to do.
    """
    if not _may_use(session, state):
        return None
    return kind_of(state.type)(session, state.name, state.settings)


def _may_use(session: LiveSession, state: TargetState) -> bool:
    return state.type in _HERE or trusted.is_trusted(session, state)
