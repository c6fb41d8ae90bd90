"""A workspace's identity, which is created once."""

from __future__ import annotations

from typing import Any

import pytest

from runlore.domain.decision import Decision
from runlore.domain.errors import InvalidInput, InvalidType, UserError
from runlore.domain.events import WorkspaceCreated
from runlore.domain.workspace import CreateWorkspace, WorkspaceState, decide, fold
from tests.strategies import fact_of_event

COORDINATES = {"subscription_id": "s", "resource_group": "g", "location": "here"}


def create(**fields: Any) -> CreateWorkspace:
    return CreateWorkspace(**{"workspace_id": "w", "name": "lab", **COORDINATES, **fields})


def created(**fields: Any) -> WorkspaceCreated:
    return WorkspaceCreated(**{"workspace_id": "w", "name": "lab", **COORDINATES, **fields})


def test_a_log_gets_its_identity() -> None:
    decision = decide(None, create(tags={"team": None}))
    assert decision == Decision((created(tags={"team": None}),))


def test_a_second_creation_changes_nothing() -> None:
    first = fold(None, [fact_of_event(created(), 1)])
    assert first == WorkspaceState(
        workspace_id="w",
        name="lab",
        subscription_id="s",
        resource_group="g",
        location="here",
        created_at=1_700_000_000_000_001,
        version=1,
    )
    assert decide(first, create(workspace_id="other", name="other")) == Decision()


def test_a_second_creation_in_the_log_does_not_count() -> None:
    facts = [fact_of_event(created(), 1), fact_of_event(created(workspace_id="other"), 2)]
    state = fold(None, facts)
    assert state is not None
    assert state.workspace_id == "w"
    assert fold(state, facts[1:]) == state


def test_a_newer_event_is_skipped() -> None:
    fact = fact_of_event(created(), 1)._replace(data=None)
    assert fold(None, [fact]) is None


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"name": "x"}, InvalidInput),
        ({"name": None}, InvalidType),
        ({"subscription_id": 3}, InvalidType),
        ({"resource_group": "caf\udce9"}, InvalidInput),
        ({"location": None}, InvalidType),
        ({"tags": {"": "x"}}, InvalidInput),
        ({"tags": ["x"]}, InvalidType),
    ],
)
def test_bad_arguments_create_nothing(fields: dict[str, Any], error: type[UserError]) -> None:
    with pytest.raises(error):
        decide(None, create(**fields))
