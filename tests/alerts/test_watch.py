"""What a watch finds in a real workspace, and how far it remembers to have come."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.alerts.alert import Alert
from runlore.alerts.bookmark import Bookmark, WatchRunsAlready
from runlore.alerts.occasions import Occasions
from runlore.alerts.values import first_not_finite, newest
from runlore.alerts.watch import Watch
from runlore.domain.run_commands import LoseRun
from runlore.run.run import handle_of
from runlore.storage.user_state import StateUnusable
from runlore.workspace import session_of
from tests.workspaces import start

Told = list[Alert]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


class Watching:
    """A watch of a workspace that is looked at now and then, and restarted each time."""

    def __init__(self, workspace: Workspace, *on: str, experiment: str | None = None) -> None:
        self.workspace = workspace
        self.occasions = Occasions.of(on)
        self.experiment = experiment
        self.said: list[str] = []
        with self._bookmark() as bookmark:
            bookmark.keep(workspace.position)

    def __call__(self, deliver: Callable[[Alert], None] | None = None) -> Told:
        """What it tells now."""
        told: Told = []
        with self._bookmark() as bookmark:
            watch = Watch(
                session_of(self.workspace),
                self.occasions,
                self.experiment,
                deliver or told.append,
                bookmark,
                self.said.append,
            )
            after = bookmark.position
            with self.workspace.subscribe(after, topics=self.occasions.topics) as feed:
                watch.follow(feed, once=True)
        return told

    def _bookmark(self) -> Bookmark:
        return Bookmark.of(session_of(self.workspace), f"{self.occasions}")


def titles(told: Told) -> list[tuple[str, str, str]]:
    return [(alert.kind, alert.title, alert.message) for alert in told]


@pytest.fixture
def exp(folder_ws: Workspace) -> Experiment:
    return Experiment(folder_ws, "mnist")


def test_ends_and_alerts_of_runs_are_told_in_the_order_of_the_log(exp: Experiment) -> None:
    watching = Watching(exp.workspace, "alert,failed,canceled")
    for run_id in "abc":
        run = start(exp, run_id=run_id)
        run.alert(f"hello from {run_id}", level="warning")
        match run_id:
            case "a":
                run.fail("no data", "NoData")
            case "b":
                run.complete()
            case _:
                run.cancel()

    told = watching()

    assert [(alert.run.run_id, alert.kind, alert.level) for alert in told] == [
        ("a", "alert", "warning"),
        ("a", "failed", "error"),
        ("b", "alert", "warning"),
        ("c", "alert", "warning"),
        ("c", "canceled", "warning"),
    ]
    assert told[1].message == "no data" and told[1].run.experiment == "mnist"
    assert [alert.position for alert in told] == sorted({alert.position for alert in told})
    assert watching() == []


def test_completed_runs_only_on_request(exp: Experiment) -> None:
    quiet, watching = Watching(exp.workspace, "failed"), Watching(exp.workspace, "completed")
    start(exp).complete()

    assert quiet() == []
    assert titles(watching()) == [("completed", "run completed", "")]


def test_a_run_that_is_lost_is_told_with_what_became_of_it(exp: Experiment) -> None:
    watching = Watching(exp.workspace, "lost,failed")
    handle_of(start(exp, run_id="a")).change(LoseRun("its process died", {"pid": 7}))

    [told] = watching()

    assert (told.kind, told.level, told.run.status) == ("lost", "error", "Failed")
    assert told.message == "its process died"


# --- NaN --------------------------------------------------------------------------------------


def test_the_first_value_that_is_not_finite_is_told_once_for_each_series(exp: Experiment) -> None:
    watching = Watching(exp.workspace, "nan")
    run = start(exp)
    for value in (1.0, math.nan, 2.0, math.inf):
        run.log("loss", value)
    run.log("text", "nan")
    run.log_row("row", a=1.0, b=-math.inf)
    run.flush()

    assert titles(watching()) == [
        ("nan", "loss is not finite", "nan at step 1"),
        ("nan", "row.b is not finite", "-inf at step 0"),
    ]
    run.log("loss", math.nan)
    run.log("acc", math.nan)
    run.flush()
    assert titles(watching()) == [("nan", "acc is not finite", "nan at step 0")]
    assert [alert["found_by"] for alert in run.get_alerts()] == ["runlore alert --on nan"] * 3


def test_what_two_watches_find_is_recorded_once_and_told_by_both(exp: Experiment) -> None:
    watches = [Watching(exp.workspace, "nan"), Watching(exp.workspace, "nan,failed")]
    run = start(exp)
    run.log("loss", math.nan)
    run.flush()

    told = [watching() for watching in watches]

    assert [titles(one) for one in told] == [[("nan", "loss is not finite", "nan at step 0")]] * 2
    assert told[0][0].id == told[1][0].id
    assert len(run.get_alerts()) == 1


# --- metrics and conditions -------------------------------------------------------------------


def test_new_values_of_a_metric_are_told_as_batches_come(exp: Experiment) -> None:
    watching = Watching(exp.workspace, "val/acc")
    run = start(exp)
    for step, value in enumerate((0.1, 0.912345678)):
        run.log("val/acc", value, step=10 * step)
        run.log("loss", 1.0)
    run.flush()

    assert titles(watching()) == [("metric", "val/acc is 0.912346", "at step 10")]
    run.log("val/acc", "a text", step=11)
    run.flush()
    assert titles(watching()) == [("metric", "val/acc is a text", "at step 11")]


def test_a_condition_is_told_once_a_run_also_for_a_value_that_only_leapt_out(
    exp: Experiment,
) -> None:
    watching = Watching(exp.workspace, "metrics.loss > 10")
    calm, wild = start(exp, run_id="calm"), start(exp, run_id="wild")
    for step in range(100):
        calm.log("loss", 1.0)
        wild.log("loss", 12.0 if step == 50 else 1.0)
    calm.flush()

    [told] = watching()

    assert (told.run.run_id, told.kind, told.title) == ("wild", "condition", "metrics.loss > 10")
    assert told.message == "metrics.loss is 1, metrics.loss.max is 12"
    wild.log("loss", 99.0)
    wild.complete()
    assert watching() == []


def test_conditions_are_those_of_the_filter_language(exp: Experiment) -> None:
    watching = Watching(exp.workspace, "status = Completed and m.acc.max > 0.9 and c.lr < 0.1")
    for run_id, lr, acc in (("a", 0.01, 0.95), ("b", 0.5, 0.99), ("c", 0.01, 0.5)):
        run = start(exp, run_id=run_id)
        run.add_config({"lr": lr})
        run.log("acc", acc)
    assert watching() == []
    for run in exp.get_runs():
        run.complete()

    assert [alert.run.run_id for alert in watching()] == ["a"]


def test_children_and_archived_runs_are_watched_as_well(exp: Experiment) -> None:
    watching = Watching(exp.workspace, "has(tags.bad),failed")
    parent = start(exp, run_id="parent")
    child = parent.child_run(run_id="child")
    child.archive()
    child.tag("bad")
    child.fail("no data")

    assert {(alert.run.run_id, alert.kind) for alert in watching()} == {
        ("child", "condition"),
        ("child", "failed"),
    }


def test_one_experiment_can_be_watched(exp: Experiment) -> None:
    other = Experiment(exp.workspace, "other")
    watching = Watching(exp.workspace, "failed,nan", experiment="other")
    for experiment in (exp, other):
        run = start(experiment)
        run.log("loss", math.nan)
        run.fail("no data")

    told = watching()

    assert {alert.run.experiment for alert in told} == {"other"}
    assert sorted(alert.kind for alert in told) == ["failed", "nan"]


# --- at least once ----------------------------------------------------------------------------


def test_what_was_not_delivered_is_delivered_by_the_next_watch(exp: Experiment) -> None:
    watching = Watching(exp.workspace, "alert,nan")
    run = start(exp)
    for number in range(3):
        run.alert(f"alert {number}")
    run.log("loss", math.nan)
    run.flush()
    arrived: Told = []

    def ends_in_the_middle(alert: Alert) -> None:
        if alert.title == "alert 1":
            raise KeyboardInterrupt
        arrived.append(alert)

    with pytest.raises(KeyboardInterrupt):
        watching(ends_in_the_middle)
    arrived += watching()

    assert [alert.title for alert in arrived] == [
        *("alert 0", "alert 1", "alert 2"),
        "loss is not finite",
    ]


def test_a_bookmark_belongs_to_one_process_and_one_log(exp: Experiment, tmp_path: Path) -> None:
    session = session_of(exp.workspace)
    with Bookmark.of(session, "watch") as held:
        held.keep(7)
        with pytest.raises(WatchRunsAlready, match="--name"):
            Bookmark.of(session, "watch")
        with Bookmark.of(session, "another") as other:
            assert other.position is None
    with Bookmark.of(session, "watch") as again:
        assert again.position == 7
    with (
        Workspace.create("other", path=tmp_path / "other") as elsewhere,
        Bookmark.of(session_of(elsewhere), "watch") as fresh,
    ):
        assert fresh.position is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"position": "7"}', b'{"position": -1, "told": 5}', b"[" * 100_000],
    ids=["empty", "half", "list", "text", "negative", "deep"],
)
def test_a_damaged_bookmark_is_none(content: bytes, exp: Experiment, state: Path) -> None:
    with Bookmark.of(session_of(exp.workspace), "watch") as bookmark:
        bookmark.keep(7)
    [file] = state.rglob("*.json")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    file.write_bytes(content)

    with Bookmark.of(session_of(exp.workspace), "watch") as bookmark:
        assert bookmark.position is None and bookmark.told == set()


def test_a_folder_of_others_is_not_used(exp: Experiment, state: Path) -> None:
    (state / "runlore").mkdir(parents=True)
    (state / "runlore").chmod(0o777)

    with pytest.raises(StateUnusable, match="can be written by others; set XDG_STATE_HOME"):
        Bookmark.of(session_of(exp.workspace), "watch")


def test_without_a_home_folder_the_message_says_what_to_set(
    exp: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "")

    with pytest.raises(StateUnusable, match="set XDG_STATE_HOME"):
        Bookmark.of(session_of(exp.workspace), "watch")


def test_a_watch_goes_on_where_nothing_can_be_remembered(exp: Experiment, state: Path) -> None:
    watching = Watching(exp.workspace, "alert")
    run = start(exp)
    run.alert("one")
    run.alert("two")
    [file] = state.rglob("*.json")
    file.unlink()
    file.mkdir()  # Nothing can be renamed to its place.

    with Bookmark.of(session_of(exp.workspace), str(watching.occasions)) as bookmark:
        told: Told = []
        watch = Watch(
            *(session_of(exp.workspace), watching.occasions, None, told.append),
            *(bookmark, watching.said.append),
        )
        with exp.workspace.subscribe(0, topics=watching.occasions.topics) as feed:
            watch.follow(feed, once=True)

    assert [alert.title for alert in told] == ["one", "two"]
    assert len(watching.said) == 1 and "a restart will deliver alerts again" in watching.said[0]


def test_an_alert_that_is_recorded_begins_no_run(exp: Experiment) -> None:
    watching = Watching(exp.workspace, "tags.azureml.batch_child_number = 0")
    first, _ = start(exp).create_children(2)

    assert [alert.run.run_id for alert in watching()] == [first.id]
    assert "begun" not in {change.what for change in first.history()}


def test_damaged_batches_do_not_end_a_watch() -> None:
    damaged = {"series": ({"name": "loss", "n": 1},), "payload": b"x"}
    assert list(first_not_finite(damaged)) == [] and list(newest(damaged, {"loss"})) == []
