"""Compute targets: names in a workspace for the places where submitted runs execute. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from runlore.domain.decision import Decision
from runlore.domain.errors import InvalidInput
from runlore.domain.events import ComputeTargetAttached, ComputeTargetDeleted
from runlore.domain.fact import Fact
from runlore.domain.ids import check_target_name

LOCAL: Final = "local"
"""The target that every workspace has: this machine, without a limit. Its name is taken."""


@dataclass(frozen=True, slots=True)
class TargetState:
    """What a name stands for: the kind of place, and its settings."""

    name: str
    type: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AttachTarget:
    """Let the name stand for this place from now on."""

    name: str
    type: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteTarget:
    """Let the name stand for nothing."""

    name: str


Command = AttachTarget | DeleteTarget


def decide(state: TargetState | None, command: Command) -> Decision:
    """What is already so writes nothing."""
    name = check_target_name(command.name)
    if name == LOCAL:
        raise InvalidInput(
            f"the compute target {LOCAL!r} is always there and cannot be changed; "
            "choose another name"
        )
    if isinstance(command, DeleteTarget):
        return Decision((ComputeTargetDeleted(name=name),) if state is not None else ())
    settings = dict(command.settings)
    if state is not None and (state.type, dict(state.settings)) == (command.type, settings):
        return Decision()
    return Decision((ComputeTargetAttached(name=name, type=command.type, settings=settings),))


def fold(state: TargetState | None, facts: Iterable[Fact]) -> TargetState | None:
    """What the name stands for after the facts; None for nothing. Pure."""
    for fact in facts:
        if fact.data is None:
            continue
        if fact.topic == ComputeTargetAttached.topic:
            data = fact.data
            state = TargetState(data["name"], data["type"], data["settings"])
        elif fact.topic == ComputeTargetDeleted.topic:
            state = None
    return state
