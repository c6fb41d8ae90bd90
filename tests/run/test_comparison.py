from __future__ import annotations

import pytest

from runlore import Experiment
from runlore.domain.errors import InvalidInput
from runlore.run.comparison import compare_runs, parameters_of
from runlore.run.metric_rows import VALUE_COLUMNS, last_values, summary_rows, value_rows
from tests.workspaces import start


def test_runs_are_compared_by_all_that_any_of_them_has(exp: Experiment) -> None:
    a, b, c = (start(exp, run_id=name) for name in "abc")
    a.set_tags({"k": "1", "only": None})
    b.tag("k", "2")
    c.tag("k", "1")
    for run in (a, b, c):
        run.add_properties({"author": "me"})
    c.log("loss", 0.5)

    rows = {(row["kind"], row["name"]): row for row in compare_runs([a, b, c])}

    assert [rows["tag", "k"][name] for name in "abc"] == ["1", "2", "1"]
    assert [rows["tag", "only"][name] for name in "abc"] == [True, None, None]
    assert rows["property", "author"]["equal"] and not rows["tag", "k"]["equal"]
    assert [rows["metric", "loss"][name] for name in "abc"] == [None, None, 0.5]


def test_a_property_without_a_value_is_null_and_a_tag_is_there(exp: Experiment) -> None:
    runs = [start(exp), start(exp)]
    for run, value in zip(runs, (None, "True"), strict=True):
        run.add_properties({"seed": value})
        run.tag("seed", value)

    shown = {row["kind"]: [row[run.id] for run in runs] for row in compare_runs(runs)}

    assert (shown["property"], shown["tag"]) == (["null", "True"], [True, "True"])


def test_one_run_cannot_be_compared(exp: Experiment) -> None:
    run = start(exp)

    with pytest.raises(InvalidInput, match="at least two runs"):
        compare_runs([run, run])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["--lr", "-0.5"], {"--lr": "-0.5"}),
        (["--flag", "--lr=1"], {"--flag": "", "--lr": "1"}),
        (["a", "-", "b"], {"argument 1": "a", "argument 2": "-", "argument 3": "b"}),
        (["--a=b=c"], {"--a": "b=c"}),
    ],
)
def test_parameters_by_name_and_place(arguments: list[str], expected: dict[str, str]) -> None:
    assert parameters_of(arguments) == expected


def test_a_summary_counts_all_and_measures_numbers(exp: Experiment) -> None:
    run = start(exp)
    for value in (1.0, float("nan"), 3.0):
        run.log("loss", value)
    run.log("note", "text")

    loss, note = summary_rows(run)

    assert (loss["count"], loss["min"], loss["max"], loss["mean"]) == (3, 1.0, 3.0, 2.0)
    assert (loss["last"], loss["last_step"]) == (3.0, 2)
    assert (note["count"], note["last"], note["min"]) == (1, "text", None)


def test_values_come_in_order_with_step_and_time(exp: Experiment) -> None:
    run = start(exp)
    run.log_row("roc", x=1, y=2.5)
    run.log_row("roc", x=2, y=3.5)

    rows = value_rows(run)

    assert all(tuple(row) == VALUE_COLUMNS for row in rows)
    assert [(row["column"], row["step"], row["value"]) for row in rows] == [
        ("x", 0, 1),
        ("x", 1, 2),
        ("y", 0, 2.5),
        ("y", 1, 3.5),
    ]
    assert all(row["time"].endswith("Z") and len(row["time"]) == 27 for row in rows)
    assert last_values(run) == {"roc.x": 2, "roc.y": 3.5}


def test_a_run_without_metrics_has_no_rows(exp: Experiment) -> None:
    run = start(exp)

    assert (summary_rows(run), value_rows(run), last_values(run)) == ([], [], {})
