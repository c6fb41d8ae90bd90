"""The end of a run of several processes, and what a sign of life of a run records."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from runlore.domain import run as runs
from runlore.domain import run_commands as commands
from runlore.domain.decision import Decision
from runlore.domain.events import (
    Event,
    RunArchived,
    RunCanceled,
    RunCancelRequested,
    RunCompleted,
    RunFailed,
    RunFound,
    RunLost,
    RunStarted,
    RunSubmitted,
    TagSet,
)
from runlore.domain.leaving import Death, Outcome, decide_heard, end_of, heard
from runlore.domain.run_commands import (
    ArchiveRun,
    BeginRun,
    ChangeStatus,
    EndRun,
    LoseRun,
    RequestCancel,
    SetTags,
)
from runlore.domain.run_state import RunState, fold
from runlore.domain.status import Status
from tests.domain.given import created, given
from tests.strategies import fact_of_event

LOST = RunLost(error={"code": runs.LOST, "message": "killed"}, evidence={"pid": 7})
DEATH = Death("killed", {"pid": 7})
ENDS = st.sampled_from([Status.COMPLETED, Status.CANCELED, Status.FAILED])


def outcome(status: Status, at: int = 0, message: str = "boom") -> Outcome:
    return Outcome(status, {"message": message} if status is Status.FAILED else None, at)


def state_after(*events: Event) -> RunState:
    facts = [
        fact_of_event(event, version)._replace(observed_at=version * 1_000_000)
        for version, event in enumerate(events, 1)
    ]
    state = fold(None, facts)
    assert state is not None
    return state


# --- the worst end wins -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "end"),
    [
        ([Status.COMPLETED], Status.COMPLETED),
        ([Status.COMPLETED, Status.CANCELED], Status.CANCELED),
        ([Status.COMPLETED, Status.CANCELED, Status.FAILED], Status.FAILED),
    ],
)
def test_the_worst_end_wins_in_any_order(left: list[Status], end: Status) -> None:
    for order in permutations(left):
        command = end_of([outcome(status, at) for at, status in enumerate(order)], [])
        assert isinstance(command, EndRun)
        assert command.status is end


@hypothesis_given(st.lists(st.tuples(ENDS, st.integers(0, 5)), min_size=1, max_size=5), st.data())
def test_the_end_does_not_depend_on_who_looks(
    left: list[tuple[Status, int]], data: st.DataObject
) -> None:
    outcomes = [outcome(status, at, str(place)) for place, (status, at) in enumerate(left)]
    by_time = {found.at: found for found in reversed(outcomes)}
    alone = list(by_time.values())
    assert end_of(data.draw(st.permutations(alone)), []) == end_of(alone, [])


def test_the_first_that_failed_tells_why() -> None:
    late, early = outcome(Status.FAILED, 9, "late"), outcome(Status.FAILED, 3, "early")
    assert end_of([late, early], []) == EndRun(Status.FAILED, {"message": "early"})


def test_a_death_is_a_failure_that_an_outcome_explains_better() -> None:
    assert end_of([outcome(Status.COMPLETED)], [DEATH]) == LoseRun("killed", {"pid": 7})
    assert end_of([outcome(Status.CANCELED)], [DEATH]) == LoseRun("killed", {"pid": 7})
    assert end_of([outcome(Status.FAILED)], [DEATH]) == EndRun(Status.FAILED, {"message": "boom"})
    assert end_of([], [DEATH]) == LoseRun("killed", {"pid": 7})
    assert end_of([], []) is None


# --- an end that the run's own process states ---------------------------------------------


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELED])
def test_an_end_from_inside_is_canceled_if_that_was_requested(status: Status) -> None:
    asked = given(created(), RunCancelRequested())
    asked.when(ChangeStatus(status, from_inside=True)).then(RunCanceled())


def test_an_end_by_a_person_is_what_it_says() -> None:
    asked = given(created(), RunCancelRequested())
    asked.when(ChangeStatus(Status.COMPLETED)).then(RunCompleted())
    asked.when(ChangeStatus(Status.FAILED, {"code": "x"})).then(RunFailed(error={"code": "x"}))


def test_an_end_from_inside_without_a_request_is_what_it_says() -> None:
    running = given(created())
    running.when(ChangeStatus(Status.COMPLETED, from_inside=True)).then(RunCompleted())


# --- runs that were created for others to execute -----------------------------------------


def test_a_run_for_others_is_running_and_begins_with_the_first_sign_of_life() -> None:
    waiting = created(status=Status.RUNNING, begun=False)
    state = state_after(waiting)
    assert (state.status, state.started_at, state.waits_to_begin) == (Status.RUNNING, None, True)
    assert state.duration_us(10**12) is None
    (begun,) = heard(state, 1_500_000)
    assert begun == RunStarted(began_at=1_500_000)
    after = state_after(waiting, begun, RunCompleted())
    assert after.started_at == 1_500_000
    assert after.duration_us(10**12) == 3_000_000 - 1_500_000
    assert heard(state_after(waiting, begun), 1_500_000) == ()


def test_a_change_by_anybody_begins_a_run_for_others() -> None:
    state = state_after(created(status=Status.RUNNING, begun=False))
    tag = TagSet(key="k", value="v")
    decided = decide_heard(state, SetTags({"k": "v"}), None, None)
    assert decided == Decision((RunStarted(), tag))
    decided = decide_heard(state, ChangeStatus(Status.COMPLETED), None, 5)
    assert decided == Decision((RunStarted(began_at=5), RunCompleted()))
    decided = decide_heard(state, ChangeStatus(Status.RUNNING), None, None)
    assert decided == Decision((RunStarted(),))
    assert decide_heard(state, SetTags({}), None, None) == Decision()


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (ChangeStatus(Status.CANCELED), RunCanceled()),
        (RequestCancel(), RunCancelRequested()),
        (ArchiveRun(), RunArchived()),
        (LoseRun("killed", {"pid": 7}), LOST),
    ],
)
def test_what_keeps_a_run_from_being_executed_does_not_begin_it(
    command: commands.Command, event: Event
) -> None:
    state = state_after(created(status=Status.RUNNING, begun=False))
    assert decide_heard(state, command, None, None) == Decision((event,))
    assert state_after(created(status=Status.RUNNING, begun=False), event).started_at is None


def test_a_run_that_was_started_in_time_does_not_begin_again() -> None:
    given(created(status=Status.RUNNING)).when(BeginRun(5)).then()
    given(created(status=Status.NOT_STARTED)).when(BeginRun(5)).then()


# --- runs that count as lost --------------------------------------------------------------


def test_a_change_from_inside_finds_a_lost_run_first() -> None:
    state = state_after(created(status=Status.RUNNING), LOST)
    decided = decide_heard(state, ChangeStatus(Status.COMPLETED), None, 0)
    assert decided == Decision((RunFound(status=Status.RUNNING), RunCompleted()))


def test_a_sign_from_inside_finds_a_lost_run_even_if_it_changes_nothing() -> None:
    state = state_after(created(status=Status.RUNNING), LOST)
    decided = decide_heard(state, SetTags({}), None, 0)
    assert decided == Decision((RunFound(status=Status.RUNNING),))


def test_a_change_by_a_person_leaves_a_lost_run_lost() -> None:
    state = state_after(created(status=Status.RUNNING), LOST)
    decided = decide_heard(state, SetTags({"seen": None}), None, None)
    assert decided == Decision((TagSet(key="seen", value=None),))
    assert decide_heard(state, ChangeStatus(Status.COMPLETED), None, None).refused


def test_a_newcomer_leaves_a_lost_run_lost() -> None:
    state = state_after(created(status=Status.RUNNING), LOST)
    assert state.ended_at is not None
    assert heard(state, state.ended_at) == (RunFound(status=Status.RUNNING),)
    assert heard(state, state.ended_at + 1) == ()


def test_a_submitted_run_stays_lost() -> None:
    submitted = RunSubmitted(definition={"script": "train.py"})
    state = state_after(created(status=Status.RUNNING), submitted, LOST)
    assert heard(state, 0) == ()
