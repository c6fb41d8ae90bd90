"""What differs between two moments is what was told then and what was told there."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Run, ViewType, Workspace
from runlore.domain.errors import InvalidInput, RunNotFound
from runlore.engine.runs.metric_reads import metrics_of
from runlore.projections.net_changes import MetricSummary
from runlore.run.run import handle_of
from tests.engine.random_history import happen

Thing = tuple[str, str, str | None]


def things(ws: Workspace) -> dict[Thing, Any]:
    """What there is: kind of thing, whose it is and its key, with its value."""
    found: dict[Thing, Any] = {}
    for experiment in Experiment.list(ws, view_type=ViewType.All):
        archived = experiment.archived_time is not None
        found["experiment", experiment.id, None] = "archived" if archived else "active"
        for key, value in experiment.tags.items():
            found["experiment_tag", experiment.id, key] = value
    for record in ws.get_run_records(include_children=True, include_archived=True):
        run = ws.get_run(record["run_id"])
        found["run", run.id, None] = None
        found["status", run.id, None] = run.get_status()
        if run.display_name != run.id:
            found["display_name", run.id, None] = run.display_name
        if run.description is not None:
            found["description", run.id, None] = run.description
        found |= {("tag", run.id, key): value for key, value in run.get_tags().items()}
        found |= {("property", run.id, key): value for key, value in run.get_properties().items()}
        state = handle_of(run).fetch()
        archived = state.archived_at is not None
        found["archive", run.id, None] = "archived" if archived else "active"
        found |= {("artifact", run.id, name): held.sha256 for name, held in state.artifacts.items()}
        found |= {("config", run.id, key): held.value for key, held in state.config.items()}
        for metric in metrics_of(handle_of(run)).values():
            for column, values in metric.columns.items():
                key = metric.name if metric.kind == "scalar" else f"{metric.name}.{column}"
                found["metric", run.id, key] = MetricSummary(len(values), values.tolist()[-1])
    return found


def expected(old: dict[Thing, Any], new: dict[Thing, Any]) -> set[tuple[Any, ...]]:
    """What differs of two, as `shown` shows it."""
    kinds = {(False, True): "created", (True, False): "removed", (True, True): "changed"}
    return {
        (*thing, kinds[thing in old, thing in new], old.get(thing), new.get(thing))
        for thing in old.keys() | new.keys()
        if (thing in old, old.get(thing)) != (thing in new, new.get(thing))
        # A new run goes without saying that it is in lists.
        and (thing[0], thing in old, new.get(thing)) != ("archive", False, "active")
    }


@pytest.mark.slow
def test_a_diff_is_what_two_looks_at_the_workspace_differ_in(
    folder_ws: Workspace, project: Path
) -> None:
    (project / "source").mkdir()
    (project / "source" / "train.py").write_text("print('training')\n")
    pick = random.Random(5)
    then = [(folder_ws.position, things(folder_ws))]
    for step in range(36):
        happen(folder_ws, pick, step)
        if step % 4 == 3:
            _ = folder_ws.log
            then.append((folder_ws.position, things(folder_ws)))

    for place, (a, old) in enumerate(then):
        for b, new in then[place:]:
            found = folder_ws.diff(a, b)
            shown = {
                (d.what, d.run_id or d.experiment_id, d.key, d.kind, d.old, d.new) for d in found
            }
            assert len(shown) == len(found)
            assert shown == expected(old, new)
            assert [d.position for d in found] == sorted(d.position for d in found)
            assert all(a < d.position <= b for d in found)


def test_a_difference_says_who_made_it_so_and_when(ws: Workspace, run: Run) -> None:
    run.set_tags({"a": "x", "b": "x", "c": None})
    before = ws.position
    run.tag("a", "y")
    run.tag("a", "z")
    made_so = ws.position
    run.remove_tags(["b"])
    removed = ws.position
    run.tag("c", "gone")
    run.tag("c")

    changed, gone = run.diff(before)

    assert (changed.what, changed.kind, changed.key) == ("tag", "changed", "a")
    assert (changed.old, changed.new, changed.position) == ("x", "z", made_so)
    assert (gone.kind, gone.key, gone.old, gone.new) == ("removed", "b", "x", None)
    assert gone.position == removed
    told = {change.position: change for change in run.history()}
    for one in (changed, gone):
        assert (one.who, one.time) == (told[one.position].who, told[one.position].time)
    assert "tag changed" in str(changed) and "'x' → 'z'" in str(changed)


def test_a_diff_of_a_run_leaves_out_all_others(ws: Workspace, exp: Experiment, run: Run) -> None:
    before = ws.position
    run.tag("a", "x")
    run.log("loss", 0.5)
    exp.tag("stage", "late")
    run.child_run().log("loss", 1.5)

    found = run.diff(before)

    assert [(one.what, one.run_id, one.new) for one in found] == [
        ("tag", run.id, "x"),
        ("metric", run.id, MetricSummary(1, 0.5)),
    ]
    assert ws.diff(before, run=run.id) == found
    assert len(ws.diff(before)) > len(found)


def test_a_diff_takes_the_earlier_moment_first(ws: Workspace, run: Run) -> None:
    with pytest.raises(InvalidInput, match="later than"):
        ws.diff(ws.position, 1)
    with pytest.raises(RunNotFound):
        ws.diff(0, 1, run=run)
    assert ws.diff(ws.position) == []


def test_a_correction_is_a_change_of_the_property_which_was_another_before(
    ws: Workspace, run: Run
) -> None:
    run.add_properties({"lr": "0.1"})
    before = ws.position
    run.correct_property("lr", "0.01", reason="a slip of the pen")

    [found] = run.diff(before)

    assert (found.what, found.kind, found.old, found.new) == ("property", "changed", "0.1", "0.01")
    assert found.reason == "a slip of the pen"
    assert ws.as_of(before).get_run(run.id).get_properties() == {"lr": "0.1"}
    assert run.get_properties() == {"lr": "0.01"}
