"""Saved views: definitions of tables and charts over runs, under names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runlore.domain.command import BaseCommand
from runlore.domain.config import check_config
from runlore.domain.decision import Decision
from runlore.domain.events import ViewDeleted, ViewSaved
from runlore.domain.fact import Fact
from runlore.domain.ids import check_view_name
from runlore.domain.text import check_order


@dataclass(frozen=True, slots=True)
class ViewState:
    """The view that a name stands for. Its definition is a JSON document."""

    name: str
    definition: Mapping[str, Any]
    saved_at: int


class SaveView(BaseCommand):
    """Give the name this definition, in place of any other."""

    name: str
    definition: Mapping[str, Any]


class DeleteView(BaseCommand):
    """Free the name."""

    name: str


Command = SaveView | DeleteView


def decide(state: ViewState | None, command: Command) -> Decision:
    """The events of a command; none if they would change nothing."""
    name = check_view_name(command.name)
    if isinstance(command, DeleteView):
        return Decision((ViewDeleted(name=name),) if state is not None else ())
    if state is None:
        check_order(name, "name of a view")
    definition = check_config(command.definition)
    if state is not None and dict(state.definition) == definition:
        return Decision()
    return Decision((ViewSaved(name=name, definition=definition),))


def fold(state: ViewState | None, facts: Iterable[Fact]) -> ViewState | None:
    """The name's view after the facts, or None. Pure."""
    for fact in facts:
        if fact.data is None:
            continue
        if fact.topic == ViewSaved.topic:
            state = ViewState(fact.data["name"], fact.data["definition"], fact.observed_at)
        elif fact.topic == ViewDeleted.topic:
            state = None
    return state
