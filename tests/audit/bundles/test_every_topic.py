"""Every topic goes through history, verification, replay and bundles."""

from __future__ import annotations

from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.audit.bundles.checks import verify_bundle
from runlore.domain.events import EVENT_TYPES
from runlore.run.run import handle_of
from runlore.workspace import session_of
from tests.audit.bundles.every_topic import live_through

NEW = {
    "experiment.renamed",
    "view.saved",
    "view.deleted",
    "run.config_added",
    "run.config_corrected",
    "run.environment_recorded",
    "run.alerted",
    "run.artifact_added",
    "run.artifact_pruned",
    "run.rewound",
    "run.lost",
    "run.found",
    "run.resumed",
    "run.archived",
    "run.reactivated",
}


@pytest.fixture
def lived(tmp_path: Path) -> Workspace:
    ws = Workspace.create("lab", path=tmp_path / "lab")
    live_through(ws)
    return ws


def test_the_log_holds_them_and_they_verify(lived: Workspace) -> None:
    topics = {event.topic for event in lived.events()}
    assert topics >= NEW
    assert topics <= {kind.topic for kind in EVENT_TYPES}
    assert lived.audit.verify().holds
    assert lived.audit.replay().holds


def test_each_has_a_line_in_the_history(lived: Workspace) -> None:
    history = [(c.what, c.key, c.old, c.new, c.reason) for c in lived.get_run("r").history()]
    for line in (
        ("config_added", "lr", None, "0.1", None),
        ("config_added", "net.act\\.fn", None, '"relu"', None),
        ("config_corrected", "lr", "0.1", "0.01", "a typo"),
        ("environment_recorded", "script, git", None, None, None),
        ("alerted", "loss is NaN", None, "error: at step 3", None),
        ("artifact_added", "model", None, "ab" * 32, None),
        ("artifact_added", "model", "ab" * 32, "s3://models/m2", None),
        ("rewound", None, None, "step 1", None),
        ("lost", None, "Running", "Failed", None),
        ("found", None, "Failed", "Running", None),
        ("completed", None, "Running", "Completed", None),
        ("resumed", None, "Completed", "Running", "more epochs"),
        ("failed", None, "Running", "Failed", None),
        ("archived", None, None, None, None),
        ("reactivated", None, None, None, None),
    ):
        assert line in history


def test_a_bundle_of_one_run_brings_all_of_it_to_another_workspace(
    lived: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "r.bundle"
    lived.export(path, run="r", descendants=True)
    assert verify_bundle(path).holds
    with Workspace.create("other", path=tmp_path / "other") as target:
        target.import_bundle(path)
        one, other = handle_of(lived.get_run("r")).fetch(), handle_of(target.get_run("r")).fetch()
        for name in ("status", "config", "environment", "artifacts", "archived_at", "error"):
            if name == "config":
                values = [{k: v.value for k, v in s.config.items()} for s in (one, other)]
                assert values[0] == values[1]
            else:
                assert getattr(one, name) == getattr(other, name)
        assert [r.step for r in one.rewinds] == [r.step for r in other.rewinds]
        assert len(other.pauses) == 1
        assert target.get_run("r").experiment.name == "renamed"
        assert target.get_run("c").experiment.id == lived.get_run("c").experiment.id
        assert target.audit.verify().holds
        assert target.import_bundle(path).events == 0  # Once is enough.


def test_an_import_meets_an_experiment_that_has_the_new_name(
    lived: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "r.bundle"
    lived.export(path)
    with Workspace.create("other", path=tmp_path / "other") as target:
        held = Experiment(target, "renamed")
        imported = target.import_bundle(path)
        assert imported.archived == ("renamed",)
        assert Experiment(target, "renamed").id == held.id
        assert Experiment(target, "cv/fold 1").id != lived.get_run("r").experiment.id


def test_the_past_of_a_run_is_as_it_was(lived: Workspace) -> None:
    positions = {event.topic: event.position for event in lived.events() if event.run_id == "r"}
    session = session_of(lived)
    assert session.log.head().position >= max(positions.values())
    before = lived.as_of(positions["run.config_corrected"] - 1)
    held = handle_of(before.get_run("r")).fetch()
    assert held.config["lr"].value == "0.1"
    assert before.get_run("r").get_status() == "Running"
    assert lived.as_of(positions["run.lost"]).get_run("r").get_status() == "Failed"
    assert lived.as_of(positions["run.found"]).get_run("r").get_status() == "Running"
