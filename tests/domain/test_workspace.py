"""A workspace's identity, which is created once."""

from __future__ import annotations

from typing import Any

import pytest

from runlore.domain.decision import Decision
from runlore.domain.errors import InvalidInput, InvalidType, UserError, WorkspaceNotFound
from runlore.domain.events import WorkspaceAdopted, WorkspaceCreated
from runlore.domain.workspace import (
    AdoptWorkspace,
    CreateWorkspace,
    WorkspaceState,
    decide,
    fold,
)
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


# --- copies -----------------------------------------------------------------------------------

ADOPTED = WorkspaceAdopted(workspace_id="copy", origin_id="w", note="in /srv")


def test_an_adopted_copy_has_an_id_of_its_own_and_remembers_its_origin() -> None:
    original = fold(None, [fact_of_event(created(), 1)])

    assert decide(original, AdoptWorkspace(workspace_id="copy", note="in /srv")) == Decision(
        (ADOPTED,)
    )

    copy = fold(original, [fact_of_event(ADOPTED, 2)])
    assert original is not None and copy is not None
    assert (copy.workspace_id, copy.origin_id, copy.name) == ("copy", "w", "lab")
    assert (copy.version, copy.created_at) == (2, original.created_at)


def test_nothing_can_be_adopted_in_an_empty_log() -> None:
    with pytest.raises(WorkspaceNotFound):
        decide(None, AdoptWorkspace(workspace_id="copy", note="in /srv"))
    assert fold(None, [fact_of_event(ADOPTED, 1)]) is None


def test_an_adoption_of_a_newer_runlore_only_advances_the_version() -> None:
    original = fold(None, [fact_of_event(created(), 1)])
    state = fold(original, [fact_of_event(ADOPTED, 2)._replace(data=None)])
    assert state is not None
    assert (state.workspace_id, state.version) == ("w", 2)
