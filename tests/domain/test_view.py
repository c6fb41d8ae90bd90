"""Saved views: a definition under a name."""

from __future__ import annotations

import pytest

from runlore.domain.decision import Decision
from runlore.domain.errors import InvalidInput, InvalidType
from runlore.domain.events import Event, ViewDeleted, ViewSaved
from runlore.domain.view import DeleteView, SaveView, ViewState, decide, fold
from tests.strategies import fact_of_event

SAVED = ViewSaved(name="best 3", definition={"where": "config.lr < 0.1"})


def after(*events: Event) -> ViewState | None:
    return fold(None, [fact_of_event(event, n) for n, event in enumerate(events, 1)])


def test_a_view_is_saved_saved_anew_and_deleted() -> None:
    assert decide(None, SaveView("best 3", {"where": "config.lr < 0.1"})) == Decision((SAVED,))
    state = after(SAVED)
    assert state is not None
    assert state.definition == {"where": "config.lr < 0.1"}
    assert decide(state, SaveView("best 3", {"where": "config.lr < 0.1"})) == Decision()
    anew = ViewSaved(name="best 3", definition={})
    assert decide(state, SaveView("best 3", {})) == Decision((anew,))
    assert decide(state, DeleteView("best 3")) == Decision((ViewDeleted(name="best 3"),))
    assert after(SAVED, ViewDeleted(name="best 3")) is None
    assert decide(None, DeleteView("best 3")) == Decision()


def test_bad_views_are_refused() -> None:
    with pytest.raises(InvalidInput, match="blank"):
        decide(None, SaveView("", {}))
    with pytest.raises(InvalidType, match="type set"):
        decide(None, SaveView("v", {"columns": {"a"}}))


def test_events_of_a_newer_runlore_change_nothing() -> None:
    unknown = fact_of_event(SAVED, 2)._replace(data=None)
    assert fold(after(SAVED), [unknown]) == after(SAVED)
