"""What is decided about the erasure of a run, and what is left of it."""

from __future__ import annotations

from runlore.domain.errors import InvalidInput
from runlore.domain.events import (
    DisplayNameSet,
    PropertyAdded,
    RunArchived,
    RunCanceled,
    RunCompleted,
    RunErased,
    RunStarted,
    TagSet,
)
from runlore.domain.run_commands import EraseRun
from runlore.domain.run_state import fold
from runlore.domain.status import Status
from tests.domain.given import created, given
from tests.strategies import fact_of_event

BORN = created(Status.NOT_STARTED, tags={"who": "ann"}, properties={"lr": "1"}, parent_id="p")
TOLD = (
    TagSet(key="k", value="v"),
    PropertyAdded(key="p", value="v"),
    DisplayNameSet(display_name="d"),
)
ERASE = EraseRun("asked to")


def test_only_a_run_that_has_ended_can_be_erased_and_only_once() -> None:
    given(created()).when(ERASE).then_refused(InvalidInput)
    ended = given(created(), RunCompleted())
    ended.when(EraseRun(" ")).then_raises(InvalidInput, "reason")
    [erased] = ended.when(ERASE).events()
    assert isinstance(erased, RunErased)
    ended.when(ERASE).then(erased).when(ERASE).then()


def test_an_erased_run_keeps_its_place_status_and_times_and_nothing_else() -> None:
    before = given(BORN, RunStarted(), *TOLD, RunArchived(), RunCompleted())
    after = before.when(ERASE).then(*before.when(ERASE).events()).state

    assert before.state is not None and after is not None
    assert after.erased
    for name in ("run_id", "experiment_id", "parent_id", "root_id", "status", "created_at"):
        assert getattr(after, name) == getattr(before.state, name), name
    assert (after.started_at, after.ended_at) == (before.state.started_at, before.state.ended_at)
    assert after.ran_us == before.state.ran_us > 0
    assert not after.tags and not after.properties and after.display_name is None


def test_an_erased_run_that_never_began_ran_for_no_time() -> None:
    before = given(BORN, RunCanceled())
    after = before.when(ERASE).then(*before.when(ERASE).events()).state
    assert after is not None
    assert (after.started_at, after.status, after.ran_us) == (None, Status.CANCELED, 0)


def test_an_erased_run_looks_alike_to_who_has_never_seen_more() -> None:
    state = fold(None, [fact_of_event(BORN, 1), fact_of_event(RunCompleted(), 2)])
    [erased] = given(BORN, RunCompleted()).when(ERASE).events()
    assert fold(state, [fact_of_event(erased, 3)]) == fold(
        fold(None, [fact_of_event(BORN, 1)]), [fact_of_event(erased, 3)]
    )
