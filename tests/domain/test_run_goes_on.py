"""Runs that are resumed, rewound, lost and found, archived; files that are replaced or pruned."""

from __future__ import annotations

import pytest

from runlore.domain.errors import ChangeRefusedError, InvalidInput, InvalidType
from runlore.domain.events import (
    ArtifactAdded,
    ArtifactPruned,
    ChangeRefused,
    EnvironmentRecorded,
    RunAlerted,
    RunArchived,
    RunCanceled,
    RunCancelRequested,
    RunCompleted,
    RunFound,
    RunLost,
    RunReactivated,
    RunResumed,
    RunRewound,
    RunSubmitted,
)
from runlore.domain.leaving import decide_heard
from runlore.domain.run import (
    LOST,
    decide,
)
from runlore.domain.run_commands import (
    AddArtifacts,
    Alert,
    ArchiveRun,
    ChangeStatus,
    FindRun,
    LoseRun,
    PruneArtifacts,
    ReactivateRun,
    RecordEnvironment,
    ResumeRun,
    RewindRun,
)
from runlore.domain.run_state import Artifact, Pause, Rewind, RunAlert, RunState, fold
from runlore.domain.status import Status
from tests.domain.given import ALICE, BOB, Given, created, given
from tests.strategies import fact_of_event

SECOND = 1_000_000


def state_of(run: Given) -> RunState:
    assert run.state is not None
    return run.state


def at(second: int, run: Given, *events: object) -> Given:
    """The run after more events, all of this second."""
    state = run.state
    for event in events:
        version = 1 if state is None else state.version + 1
        fact = fact_of_event(event, version)._replace(observed_at=second * SECOND)  # type: ignore[arg-type]
        state = fold(state, [fact])
    return Given(state)


# --- resume and rewind --------------------------------------------------------------------


def test_a_resumed_run_is_running_and_keeps_its_last_end() -> None:
    ended = at(10, at(0, Given(None), created()), RunCompleted())
    resumed = ended.when(ResumeRun("more epochs")).then(RunResumed())
    assert state_of(resumed).status is Status.RUNNING
    assert state_of(resumed).ended_at is None
    assert state_of(resumed).last_ended_at == 10 * SECOND
    resumed.when(ResumeRun("more epochs")).then()
    resumed.when(ChangeStatus(Status.COMPLETED)).then(RunCompleted())


def test_the_duration_is_the_sum_of_the_spans() -> None:
    run = at(0, Given(None), created())
    assert state_of(run).duration_us(4 * SECOND) == 4 * SECOND
    run = at(10, run, RunCompleted())
    assert state_of(run).duration_us(500 * SECOND) == 10 * SECOND
    run = at(100, run, RunResumed())
    assert state_of(run).duration_us(103 * SECOND) == 13 * SECOND
    run = at(105, run, RunCanceled())
    assert state_of(run).duration_us(0) == 15 * SECOND
    assert state_of(run).started_at == 0


def test_values_between_an_end_and_a_resume_stay_late() -> None:
    run = at(2, at(0, Given(None), created(), RunCompleted()), RunResumed(), RunCompleted())
    state = state_of(run)
    assert state.pauses == (Pause(ended=2, resumed=3),)
    assert [state.is_late(position) for position in range(1, 7)] == [
        False,
        False,
        False,
        False,
        True,
        True,
    ]
    later = state_of(at(0, Given(None), created(), RunCompleted()))
    assert later.is_late(3)


def test_a_submitted_run_is_submitted_again_instead() -> None:
    submitted = RunSubmitted(definition={"script": "train.py"})
    run = given(created(), submitted, RunCompleted())
    run.when(ResumeRun("more epochs")).then_refused(InvalidInput)


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_resumption_needs_a_reason(reason: str) -> None:
    with pytest.raises(InvalidInput, match="a resumption needs a reason"):
        given(created(), RunCompleted()).when(ResumeRun(reason)).then()


def test_a_rewind_is_recorded_each_time() -> None:
    run = given(created()).when(RewindRun(7)).then(RunRewound(step=7))
    run = run.when(RewindRun(7)).then(RunRewound(step=7))
    assert state_of(run).rewinds == (Rewind(2, 7), Rewind(3, 7))
    for step, error in ((True, InvalidType), ("7", InvalidType), (2**63, InvalidInput)):
        with pytest.raises(error, match="rewind"):
            run.when(RewindRun(step)).then()  # type: ignore[arg-type]


# --- lost and found -----------------------------------------------------------------------


def test_a_loss_says_how_it_is_known_and_is_undone_when_the_run_is_heard_again() -> None:
    run = at(0, Given(None), created())
    lost = RunLost(error={"code": LOST, "message": "it died"}, evidence={"pid": 7, "lock": "free"})
    run.when(LoseRun("it died", {"pid": 7, "lock": "free"})).then(lost)
    run = at(10, run, lost)
    assert (state_of(run).status, state_of(run).lost) == (Status.FAILED, True)

    found = run.when(FindRun()).then(RunFound(status=Status.RUNNING))
    assert state_of(found).status is Status.RUNNING
    assert state_of(found).error is None
    assert state_of(found).ended_at is None
    assert state_of(found).last_ended_at is None
    assert state_of(found).duration_us(20 * SECOND) == 20 * SECOND  # It executed all along.
    assert not state_of(found).is_late(99)
    found.when(FindRun()).then()


def test_a_run_that_ended_otherwise_is_not_found() -> None:
    given(created(), RunCompleted()).when(FindRun()).then()
    given(created(), RunCancelRequested()).when(LoseRun("it died")).then(RunCanceled()).when(
        FindRun()
    ).then()


def test_a_resumed_run_does_not_count_as_lost() -> None:
    lost = RunLost(error={"code": LOST, "message": "it died"})
    run = given(created(), lost).when(ResumeRun("from the checkpoint")).then(RunResumed())
    assert not state_of(run).lost
    run.when(FindRun()).then()


# --- archive ------------------------------------------------------------------------------


def test_a_run_is_archived_and_reactivated_once() -> None:
    run = given(created(), RunCompleted()).when(ArchiveRun()).then(RunArchived())
    assert state_of(run).archived_at is not None
    run.when(ArchiveRun()).then()
    back = run.when(ReactivateRun()).then(RunReactivated())
    assert state_of(back).archived_at is None
    back.when(ReactivateRun()).then()


# --- files --------------------------------------------------------------------------------

OLD, NEW = Artifact("ab" * 32, 5), Artifact("cd" * 32, 6)
ADDED = ArtifactAdded(name="m", sha256=OLD.sha256, nbytes=5)


def test_a_file_is_replaced_only_on_request() -> None:
    run = given(created(), ADDED)
    refusal = ChangeRefused(
        change="run.artifact_added",
        key="m",
        held=OLD.sha256,
        refused=NEW.sha256,
        reason="file name is taken",
    )
    run.when(AddArtifacts({"m": NEW})).then_refused(ChangeRefusedError, refusal)
    replaced = ArtifactAdded(name="m", sha256=NEW.sha256, nbytes=6, replaces=OLD.sha256)
    run = run.when(AddArtifacts({"m": NEW}, replace=True)).then(replaced)
    assert state_of(run).artifacts == {"m": NEW}
    run.when(AddArtifacts({"m": NEW}, replace=True)).then()


def test_a_file_may_be_a_reference() -> None:
    reference = Artifact(None, None, "s3://models/m")
    added = ArtifactAdded(name="m", sha256=None, nbytes=None, uri="s3://models/m")
    run = given(created()).when(AddArtifacts({"m": reference})).then(added)
    assert state_of(run).artifacts == {"m": reference}
    replaced = ArtifactAdded(name="m", sha256=OLD.sha256, nbytes=5, replaces="s3://models/m")
    run.when(AddArtifacts({"m": OLD}, replace=True)).then(replaced)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models/m", "it is no URI"),
        ("s3://ann:secret@bucket/m", "has a user or password"),
        ("", "empty"),
        ("s3://a\x1b[2J", "control characters"),
    ],
)
def test_bad_references_are_refused_without_repeating_secrets(uri: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        given(created()).when(AddArtifacts({"m": Artifact(None, None, uri)})).then()
    assert "secret" not in str(caught.value)


def test_a_pruned_file_keeps_its_name_and_digest_and_may_come_back() -> None:
    pruned = ArtifactPruned(name="m", sha256=OLD.sha256)
    run = given(created(), ADDED).when(PruneArtifacts(["m", "x"], "space")).then(pruned)
    assert state_of(run).artifacts == {"m": OLD._replace(pruned=True)}
    run.when(PruneArtifacts(["m"], "space")).then()
    assert state_of(run.when(AddArtifacts({"m": OLD})).then(ADDED)).artifacts == {"m": OLD}
    with pytest.raises(InvalidInput, match="the pruning of files needs a reason"):
        run.when(PruneArtifacts(["m"], " ")).then()


# --- environment and alerts ---------------------------------------------------------------


def test_the_environment_is_recorded_where_it_differs() -> None:
    recorded = EnvironmentRecorded(environment={"script": "train.py"})
    run = given(created()).when(RecordEnvironment({"script": "train.py"})).then(recorded)
    run.when(RecordEnvironment({"script": "train.py"})).then()
    other = EnvironmentRecorded(environment={"script": "other.py"})
    run.when(RecordEnvironment({"script": "other.py"})).then(other)


def test_every_alert_is_recorded() -> None:
    alerted = RunAlerted(title="NaN", text="at step 3", level="error")
    run = given(created()).when(Alert("NaN", "at step 3", "error")).then(alerted)
    run.when(Alert("NaN", "at step 3", "error")).then(alerted)
    with pytest.raises(InvalidInput, match="one of info, warning, error"):
        run.when(Alert("NaN", "", "fatal")).then()


def test_an_alert_of_a_watch_is_recorded_once() -> None:
    alerted = RunAlerted(title="loss > 10", text="it is 12", level="warning")
    told = fact_of_event(alerted, 2, ALICE)._replace(reason="runlore alert")
    state = fold(None, [fact_of_event(created(), 1, ALICE), told])
    assert state is not None
    assert state.alerts == (
        RunAlert("loss > 10", "it is 12", "warning", told.observed_at, "runlore alert"),
    )

    again = Alert("loss > 10", "it is 13", "warning", found_by="runlore alert")
    assert decide(state, again, BOB).events == ()
    for other in (
        again.with_fields(title="loss > 11"),
        again.with_fields(found_by="another"),
        again.with_fields(found_by=None),
    ):
        assert decide(state, other, BOB).events != ()


def test_a_watch_does_not_begin_a_run_that_waits() -> None:
    waiting = fold(None, [fact_of_event(created(begun=False), 1, ALICE)])
    found = decide_heard(waiting, Alert("a", "", "info", found_by="a watch"), BOB, None)
    assert [event.topic for event in found.events] == ["run.alerted"]
    own = decide_heard(waiting, Alert("a", "", "info"), BOB, None)
    assert [event.topic for event in own.events] == ["run.started", "run.alerted"]


# --- given times --------------------------------------------------------------------------


def test_a_given_start_is_when_the_run_began() -> None:
    run = at(100, Given(None), created(given_at=40 * SECOND, given_user="ben"))
    assert state_of(run).started_at == 40 * SECOND
    assert state_of(run).created_at == 100 * SECOND
    assert state_of(run).given_user == "ben"
    assert state_of(at(110, run, RunCompleted())).duration_us(0) == 70 * SECOND
