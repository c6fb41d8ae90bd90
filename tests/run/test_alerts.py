"""`run.alert()`: each call is an event, whoever reads it."""

from __future__ import annotations

from enum import Enum

import pytest

from runlore import Run
from runlore.domain.errors import InvalidInput, InvalidType
from tests.workspaces import seen_again

HOSTILE = '"; rm -rf ~ #\x1b]0;title\x07\n<!channel> $(id)'


class AlertLevel(Enum):
    """As W&B has it."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


def test_an_alert_is_on_disk_when_the_call_returns(run: Run) -> None:
    run.alert("loss jumped", "from 0.5 to 7.1", level="warning")
    run.alert("epoch 1 done")

    found = seen_again(run).get_alerts()

    assert [(a["level"], a["title"], a["text"], a["found_by"]) for a in found] == [
        ("warning", "loss jumped", "from 0.5 to 7.1", None),
        ("info", "epoch 1 done", "", None),
    ]
    assert found[0]["time"].utcoffset() is not None


def test_an_alert_stands_in_the_history_in_sql_and_among_the_events(run: Run) -> None:
    run.alert("disk is full", HOSTILE, level="error")
    run.complete()

    [change] = [change for change in run.history() if change.what == "alerted"]
    assert (change.key, change.new) == ("disk is full", f"error: {HOSTILE}")
    workspace = run.experiment.workspace
    rows = workspace.sql("SELECT run_id, level, title, text, found_by, position FROM alerts")
    assert list(rows) == [(run.id, "error", "disk is full", HOSTILE, None, change.position)]
    [event] = workspace.events(topics="run.alerted")
    assert event.position == change.position
    assert event.data == {"title": "disk is full", "text": HOSTILE, "level": "error"}


@pytest.mark.parametrize(
    ("given", "level"),
    [
        (AlertLevel.WARN, "warning"),
        (AlertLevel.ERROR, "error"),
        ("INFO", "info"),
        ("Warning", "warning"),
    ],
    ids=["enum-warn", "enum-error", "upper", "title"],
)
def test_levels_of_other_trackers_are_accepted(run: Run, given: object, level: str) -> None:
    run.alert("a", level=given)

    assert [alert["level"] for alert in run.get_alerts()] == [level]


def test_what_is_no_alert_writes_nothing(run: Run) -> None:
    before = run.experiment.workspace.position
    for title, text, level, error in (
        ("", "", "info", InvalidInput),
        ("t", "", "fatal", InvalidInput),
        (None, "", "info", InvalidType),
        ("t", 5, "info", InvalidType),
        ("t", "x" * 2_000_000, "info", InvalidInput),
    ):
        with pytest.raises(error):
            run.alert(title, text, level)  # type: ignore[arg-type]
    assert run.experiment.workspace.position == before


def test_a_run_that_has_ended_can_still_raise_an_alert(run: Run) -> None:
    run.complete()

    run.alert("evaluation was worse", level="warning")

    assert len(run.get_alerts()) == 1
    assert run.get_status() == "Completed"
