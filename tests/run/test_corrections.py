"""`run.correct_property` replaces a wrong value; both stay visible."""

from __future__ import annotations

from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import InvalidInput, PropertyConflict
from runlore.projections.filters import RunFilter
from runlore.workspace import session_of
from tests.fresh_python import race
from tests.workspaces import seen_again, start


def test_a_corrected_value_is_the_one_that_reads_and_filters_see(exp: Experiment, run: Run) -> None:
    run.add_properties({"auc": "0.17", "other": None})

    run.correct_property("auc", "0.71", reason="digits were swapped")

    assert run.get_properties() == {"auc": "0.71", "other": None}
    assert seen_again(run).get_properties() == run.get_properties()
    assert [found.id for found in exp.get_runs(properties={"auc": "0.71"})] == [run.id]
    assert list(exp.get_runs(properties={"auc": "0.17"})) == []


def test_the_history_has_the_correction_with_its_reason(run: Run) -> None:
    run.add_properties({"auc": "0.17"})
    run.correct_property("auc", "0.71", reason="digits were swapped")

    told = [(c.what, c.key, c.old, c.new, c.reason) for c in run.history()[1:]]
    assert told == [
        ("property_added", "auc", None, "0.17", None),
        ("property_corrected", "auc", "0.17", "0.71", "digits were swapped"),
    ]


def test_sql_shows_the_corrected_value_with_its_reason_and_both_in_the_history(
    exp: Experiment, run: Run
) -> None:
    run.add_properties({"auc": "0.17"})
    run.correct_property("auc", "0.71", reason="digits were swapped")

    ws = exp.workspace
    shown = ws.sql("SELECT key, value, reason, set_by IS NOT NULL FROM properties").fetchall()
    assert shown == [("auc", "0.71", "digits were swapped", True)]
    history = ws.sql(
        "SELECT value, reason, to_position IS NULL FROM property_history ORDER BY from_position"
    ).fetchall()
    assert history == [("0.17", None, False), ("0.71", "digits were swapped", True)]


def test_lists_as_of_a_position_before_the_correction_show_the_original(
    exp: Experiment, run: Run
) -> None:
    run.add_properties({"auc": "0.17"})
    before = exp.workspace.log.head().position
    run.correct_property("auc", "0.71", reason="digits were swapped")

    reader = session_of(exp.workspace).reader()
    assert [
        row.run_id for row in reader.at(before).runs(RunFilter(properties={"auc": "0.17"}))
    ] == [run.id]
    assert list(reader.at(before).runs(RunFilter(properties={"auc": "0.71"}))) == []


def test_an_ended_run_accepts_corrections(run: Run) -> None:
    run.add_properties({"auc": "0.17"})
    run.complete()

    run.correct_property("auc", None, reason="it was never measured")

    assert run.get_properties() == {"auc": None}


def test_an_unknown_property_cannot_be_corrected(run: Run) -> None:
    run.add_properties({"auc": "0.17"})

    with pytest.raises(InvalidInput, match="no property 'acu'.*it has 'auc'"):
        run.correct_property("acu", "0.71", reason="digits were swapped")

    assert [change.what for change in run.history()] == ["created", "property_added"]


@pytest.mark.parametrize("reason", ["", " \n"])
def test_a_correction_needs_a_reason(run: Run, reason: str) -> None:
    run.add_properties({"auc": "0.17"})

    with pytest.raises(InvalidInput, match="a correction needs a reason"):
        run.correct_property("auc", "0.71", reason=reason)

    assert run.get_properties() == {"auc": "0.17"}


def test_the_current_value_again_is_not_a_correction(run: Run) -> None:
    run.add_properties({"auc": "0.17"})
    before = run.history()

    run.correct_property("auc", "0.17", reason="to be sure")

    assert run.history() == before


def test_the_original_value_added_again_is_a_conflict_with_the_corrected_one(run: Run) -> None:
    run.add_properties({"auc": "0.17"})
    run.correct_property("auc", "0.71", reason="digits were swapped")

    with pytest.raises(PropertyConflict, match="corrected by .* because 'digits were") as raised:
        run.add_properties({"auc": "0.17"})

    assert (raised.value.held, raised.value.refused) == ("0.71", "0.17")
    assert raised.value.correction == "digits were swapped"


@pytest.mark.processes
def test_each_of_two_racing_corrections_says_what_it_superseded(
    folder_ws: Workspace, project: Path
) -> None:
    run = start(Experiment(folder_ws, "explore-runs"))
    run.add_properties({"auc": "0"})
    code = f"""
from runlore import Run, Workspace
ws = Workspace.open({str(folder_ws.path)!r})
run = Run.get(ws, {run.id!r})
go()
for step in range(5):
    run.correct_property("auc", f"{{NUMBER}}.{{step}}", reason="race")
"""
    race(code, 2, cwd=project)

    corrections = [change for change in run.history() if change.what == "property_corrected"]
    assert len(corrections) == 10
    superseded = [change.old for change in corrections]
    assert superseded == ["0", *[change.new for change in corrections[:-1]]]
    assert run.get_properties() == {"auc": corrections[-1].new}
