"""Compute targets: a workspace's names for the places where submitted runs execute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from runlore.domain.command import BaseCommand
from runlore.domain.decision import Decision
from runlore.domain.errors import InvalidInput
from runlore.domain.events import ComputeTargetAttached, ComputeTargetDeleted
from runlore.domain.fact import Fact
from runlore.domain.ids import check_target_name

LOCAL: Final = "local"
"""The target that every workspace has: this machine, without a limit. The name is reserved."""


@dataclass(frozen=True, slots=True)
class TargetState:
    """The target that a name stands for: the kind of place and its settings."""

    name: str
    type: str
    settings: Mapping[str, Any]


class AttachTarget(BaseCommand):
    """Give the name this target, in place of any other."""

    name: str
    type: str
    settings: Mapping[str, Any]


class DeleteTarget(BaseCommand):
    """Free the name."""

    name: str


Command = AttachTarget | DeleteTarget


def decide(state: TargetState | None, command: Command) -> Decision:
    """The events of a command; none if they would change nothing."""
    name = check_target_name(command.name)
    if name == LOCAL:
        raise InvalidInput(
            f"the compute target {LOCAL!r} is built in and cannot be changed; choose another name"
        )
    if isinstance(command, DeleteTarget):
        return Decision((ComputeTargetDeleted(name=name),) if state is not None else ())
    settings = dict(command.settings)
    if state is not None and (state.type, dict(state.settings)) == (command.type, settings):
        return Decision()
    return Decision((ComputeTargetAttached(name=name, type=command.type, settings=settings),))


def fold(state: TargetState | None, facts: Iterable[Fact]) -> TargetState | None:
    """The name's target after the facts, or None. Pure."""
    for fact in facts:
        if fact.data is None:
            continue
        if fact.topic == ComputeTargetAttached.topic:
            data = fact.data
            state = TargetState(data["name"], data["type"], data["settings"])
        elif fact.topic == ComputeTargetDeleted.topic:
            state = None
    return state
