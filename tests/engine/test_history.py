from __future__ import annotations

import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import InvalidType, RunloreError
from runlore.domain.status import Status
from runlore.engine.runs.ending import record_status
from runlore.engine.runs.history import Change
from runlore.run.run import handle_of
from runlore.storage.event_log import NewEvent
from tests.fresh_python import run_python
from tests.workspaces import start


def told(run: Run) -> list[tuple[str, str | None, object, object]]:
    return [(change.what, change.key, change.old, change.new) for change in run.history()]


def test_history_has_every_change_with_old_and_new_values(exp: Experiment) -> None:
    run = start(exp, tags={"quality": "great run"}, display_name="first name")
    run.tag("quality", "fantastic run")
    run.tag("worth another look")
    run.remove_tags(["quality"])
    run.add_properties({"author": "me"})
    run.display_name = "second name"
    run.description = "text"
    run.log("loss", 0.5)
    run.log("acc", 0.5)
    run.flush()
    run.upload_file("a.txt", io.BytesIO(b"a"))
    run.complete()

    assert told(run) == [
        ("created", None, None, "Running"),
        ("display_name_set", None, None, "first name"),
        ("tag_set", "quality", None, "great run"),
        ("tag_set", "quality", "great run", "fantastic run"),
        ("tag_set", "worth another look", None, None),
        ("tag_removed", "quality", "fantastic run", None),
        ("property_added", "author", None, "me"),
        ("display_name_set", None, "first name", "second name"),
        ("description_set", None, None, "text"),
        ("values_logged", "loss, acc", None, "2 values"),
        (
            "artifact_added",
            "a.txt",
            None,
            "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        ),
        ("completed", None, "Running", "Completed"),
    ]


def test_history_has_the_initial_values(exp: Experiment) -> None:
    run = start(exp, tags={"a": "1", "b": None}, description="text")
    run.tag("a", "2")

    created, *others = run.history()
    assert told(run) == [
        ("created", None, None, "Running"),
        ("description_set", None, None, "text"),
        ("tag_set", "a", None, "1"),
        ("tag_set", "b", None, None),
        ("tag_set", "a", "1", "2"),
    ]
    assert [change.position for change in others[:-1]] == [created.position] * 3
    assert others[-1].position > created.position


def test_history_has_events_of_a_newer_runlore_by_topic_only(run: Run) -> None:
    event = NewEvent(f"run/{run.id}", 2, "run.promoted", b"?", b"0" * 16, {"writer": "w"})
    handle_of(run).session.log.append([event])
    run.tag("a")

    assert told(run) == [
        ("created", None, None, "Running"),
        ("promoted", None, None, None),
        ("tag_set", "a", None, None),
    ]


@pytest.mark.parametrize(
    ("end", "what", "status"),
    [("fail", "failed", "Failed"), ("cancel", "canceled", "Canceled")],
)
def test_history_has_each_end(run: Run, end: str, what: str, status: str) -> None:
    getattr(run, end)()

    assert told(run)[-1] == (what, None, "Running", status)


def test_history_has_the_statuses_in_between(run: Run) -> None:
    record_status(handle_of(run), Status("Paused"))
    run.start()
    record_status(handle_of(run), Status("CancelRequested"))
    record_status(handle_of(run), Status("Canceled"))

    assert told(run)[1:] == [
        ("status_changed", None, "Running", "Paused"),
        ("started", None, "Paused", "Running"),
        ("cancel_requested", None, "Running", "CancelRequested"),
        ("canceled", None, "CancelRequested", "Canceled"),
    ]


@pytest.mark.processes
def test_history_has_a_snapshot(exp: Experiment, project: Path) -> None:
    run = exp.start_logging(outputs=False)

    snapshot_id = run.get_snapshot_id()
    assert told(run)[1:] == [
        ("property_added", "ContentSnapshotId", None, snapshot_id),
        ("snapshot_taken", None, None, snapshot_id),
    ]


def test_history_has_refused_changes_with_their_reasons(run: Run) -> None:
    run.add_properties({"author": "me"})
    with pytest.raises(RunloreError):
        run.add_properties({"author": "you"})
    run.complete()
    with pytest.raises(RunloreError):
        run.cancel()

    refused = [change for change in run.history() if change.what == "change_refused"]
    assert [(change.key, change.old, change.new, change.reason) for change in refused] == [
        ("author", "me", "you", "property is held with another value"),
        ("run.canceled", "Completed", "Canceled", "run has ended"),
    ]


def test_history_has_the_given_reason(run: Run) -> None:
    run.tag("quality", "good", reason="looked at it")
    run.set_tags({"seen": None}, reason="so did I")
    run.remove_tags(["seen"], reason="was mistaken")
    run.add_properties({"author": "me"}, reason="asked")
    run.tag("quality", "poor")

    assert [change.reason for change in run.history()][-5:] == [
        "looked at it",
        "so did I",
        "was mistaken",
        "asked",
        None,
    ]


def test_the_reason_of_a_cancellation_is_not_given_to_values_written_with_it(run: Run) -> None:
    run.log("loss", 0.5)
    run.cancel(reason="it diverged")

    assert (run.history()[-1].what, run.history()[-1].reason) == ("canceled", "it diverged")
    stream = run.experiment.workspace.events(topics=("run.values_logged", "run.canceled"))
    assert [event.reason for event in stream] == [None, "it diverged"]


def test_a_reason_that_is_not_text_changes_nothing(run: Run) -> None:
    before = run.history()

    with pytest.raises(InvalidType, match="reason must be a str"):
        run.tag("quality", "good", reason=1)  # type: ignore[arg-type]
    with pytest.raises(InvalidType, match="reason must be a str"):
        run.cancel(reason=1)  # type: ignore[arg-type]
    assert run.history() == before


def test_history_is_in_the_order_of_positions_and_times(run: Run) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    for number in range(5):
        run.log("loss", number)
        run.tag("step", str(number))
        run.flush()

    history = run.history()

    assert [change.position for change in history] == sorted(c.position for c in history)
    assert [change.time for change in history] == sorted(change.time for change in history)
    assert before <= history[0].time <= datetime.now(UTC) + timedelta(seconds=1)
    assert {change.time.tzinfo for change in history} == {UTC}


@pytest.mark.processes
def test_history_has_the_writer_of_each_change(folder_ws: Workspace, project: Path) -> None:
    run = start(Experiment(folder_ws, "e"))

    run_python(
        f"""
import runlore
ws = runlore.Workspace.open({folder_ws.uri!r})
run = ws.get_run({run.id!r})
run.tag("seen")
run.log("loss", 1)
""",
        cwd=project,
        RUNLORE_ACTOR="Grace",
    )

    created, *theirs = run.history()
    assert created.who.endswith(f"(pid {os.getpid()})")
    assert [change.what for change in theirs] == ["tag_set", "values_logged"]
    assert all(change.who.startswith("Grace@") for change in theirs)


def test_history_leaves_out_changes_of_children(run: Run) -> None:
    child = run.child_run()
    child.tag("a")

    assert told(run) == [("created", None, None, "Running")]
    assert len(child.history()) == 2


def test_a_run_whose_id_another_one_starts_with_has_its_own_history(exp: Experiment) -> None:
    short, long = start(exp, run_id="run"), start(exp, run_id="run-2")
    long.log("loss", 1)
    long.flush()

    assert [change.what for change in short.history()] == ["created"]
    assert short.get_metrics() == {}


def test_a_change_reads_as_a_line(run: Run) -> None:
    run.tag("quality", "great run")
    run.tag("quality", "fantastic run")

    created, first, second = map(str, run.history())

    assert created.endswith("created  'Running'")
    assert first.endswith("tag_set  quality  'great run'")
    assert second.endswith("tag_set  quality  'great run' → 'fantastic run'")


def test_changes_are_plain_tuples(run: Run) -> None:
    (change,) = run.history()

    assert isinstance(change, Change)
    assert change._fields == (
        "time",
        "who",
        "what",
        "key",
        "old",
        "new",
        "reason",
        "position",
    )
