"""Tables of runs: a row per run, and the best one."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import polars as pl
import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import FilterError, InvalidInput, NotFound
from runlore.engine.runs.going_on import add_config
from runlore.projections.sql_result import SqlResult
from runlore.run.run import handle_of
from tests.workspaces import start


def frame(table: SqlResult) -> dict[str, list[object]]:
    """The table's columns."""
    return pl.DataFrame(table).to_dict(as_series=False)


def test_a_run_sums_up_all_below_it(ws: Workspace) -> None:
    top = start(Experiment(ws, "nets"), display_name="top")
    near = top.child_run("near")
    far = near.child_run("far")
    near.log_batch("val/acc", [0.5, math.nan])
    far.log_batch("val/acc", [0.25, 0.75])
    far.fail("out of memory")
    near.flush()

    found = top.rollup("val/acc")
    assert (found.runs, found.children, found.lost) == (3, 1, 0)
    assert (found.statuses, found.worst_status) == ({"Failed": 1, "Running": 2}, "Failed")
    assert found.best == (far.id, 0.75, 1)
    assert top.rollup("val/acc", mode="min").best == (far.id, 0.25, 0)
    assert found.first_started_at is not None
    assert found.last_ended_at is not None
    assert found.first_started_at.tzinfo is found.last_ended_at.tzinfo is UTC
    assert near.rollup("nothing").best is None
    with pytest.raises(InvalidInput, match="mode is 'best'"):
        top.rollup("val/acc", mode="best")
    with pytest.raises(InvalidInput, match="for metric"):
        top.rollup(7)  # type: ignore[arg-type]


@pytest.fixture
def nets(ws: Workspace) -> Experiment:
    """Three runs, whose fields differ in kind, and in case alone."""
    exp = Experiment(ws, "nets")
    a = start(exp, display_name="a", tags={"Model": "vit", "model": "resnet", "only key": None})
    add_config(handle_of(a), {"lr": 0.1, "n": 3, "on": True, "x": None, "mixed": 1})
    a.log_batch("loss", [3.0, 1.0, 2.0])
    a.log("note", "fine")
    b = start(exp, display_name="b")
    add_config(handle_of(b), {"lr": 1, "n": 4, "on": False, "x": None, "mixed": "one"})
    b.add_properties({"git": "abc"})
    b.log_batch("loss", [5.0, math.nan])
    start(exp, display_name="c").child_run().log("loss", 0.5)
    a.flush()  # As of a moment, values are seen from their batch on.
    return exp


def test_a_table_has_a_column_for_all_that_its_runs_have(nets: Experiment) -> None:
    found = frame(nets.runs_table())
    assert found["name"] == ["c", "b", "a"]
    assert found["number"] == [3, 2, 1]
    assert {key: found[key] for key in found if "." in key and "loss" not in key} == {
        "config.lr": [None, 1.0, 0.1],
        "config.mixed": [None, "one", "1"],
        "config.n": [None, 4, 3],
        "config.on": [None, False, True],
        "config.x": [None, None, None],
        "tags.Model": [None, None, "vit"],
        "tags.model": [None, None, "resnet"],
        "tags.`only key`": [None, None, None],
        "properties.git": [None, "abc", None],
        "metrics.note": [None, None, "fine"],
    }
    c, b, a = found["metrics.loss"]
    assert (c, a) == (None, 2.0)
    assert isinstance(b, float) and math.isnan(b)
    created = found["created"][0]
    assert isinstance(created, datetime)
    assert abs((datetime.now(UTC) - created).total_seconds()) < 3600


def test_a_table_shows_the_aggregates_and_columns_that_are_asked_for(nets: Experiment) -> None:
    found = frame(nets.runs_table(metrics=["min", "n"]))
    assert found["metrics.loss.min"] == [None, 5.0, 1.0]
    assert found["metrics.loss.n"] == [None, 2, 3]
    assert "metrics.loss" not in found
    some = ["metrics.loss.max", "name", "tags.none", "m.nothing"]
    assert nets.runs_table(columns=some).columns == [*some[:3], "metrics.nothing"]
    assert nets.runs_table("name = a", columns=some).fetchall() == [(3.0, "a", None, None)]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("m.loss.min", "abc"),
        ("-m.loss.max", "bac"),
        ("m.loss", "acb"),  # NaN comes last, as does what is missing.
        ("config.lr", "abc"),
        ("-c.lr", "bac"),
        ("config.mixed", "abc"),
        ("-number", "cba"),
        ("tags.model", "acb"),
    ],
)
def test_a_table_is_sorted_by_a_field(nets: Experiment, sort: str, order: str) -> None:
    found = [name for (name,) in nets.runs_table(sort=sort, columns=["name"])]
    if order == "acb":
        assert found[0] == "a"
    else:
        assert "".join(found) == order
    assert found[:1] == [name for (name,) in nets.runs_table(sort=sort, columns=["name"], limit=1)]
    filtered = nets.runs_table("name != nobody and t.no != 1 or name in (a, b, c)", sort=sort)
    assert frame(filtered)["name"] == found


def test_a_table_of_a_workspace_has_the_runs_of_all_experiments(nets: Experiment) -> None:
    start(Experiment(nets.workspace, "trees"), display_name="d")
    rows = nets.workspace.runs_table(columns=["name", "experiment"]).fetchall()
    assert rows == [("d", "trees"), ("c", "nets"), ("b", "nets"), ("a", "nets")]
    below = nets.workspace.runs_table("depth = 1", columns=["m.loss"], include_children=True)
    assert below.fetchall() == [(0.5,)]


def test_a_table_of_the_past_shows_what_was_then(nets: Experiment) -> None:
    before = nets.workspace.position
    run = next(nets.get_runs())
    run.tag("model", "new")
    run.log("loss", -1.0)
    run.flush()
    then = Experiment.find(nets.workspace.as_of(before), "nets")
    columns = ["name", "tags.model", "metrics.loss.min"]
    assert then.runs_table(columns=columns, sort="m.loss.min").fetchall() == [
        ("a", "resnet", 1.0),
        ("b", None, 5.0),
        ("c", None, None),
    ]
    assert nets.runs_table(columns=columns, sort="m.loss.min").fetchall()[0] == ("c", "new", -1.0)


def test_an_empty_table_has_the_attributes(ws: Workspace) -> None:
    assert ws.runs_table().columns[:2] == ["id", "name"]
    assert len(ws.runs_table()) == 0


@pytest.mark.parametrize(
    "asked",
    [{"where": "loss"}, {"columns": ["loss"]}, {"sort": "loss"}],
    ids=["where", "columns", "sort"],
)
def test_a_wrong_text_raises_filter_error(nets: Experiment, asked: dict[str, object]) -> None:
    with pytest.raises(FilterError, match=r"metrics\.loss"):
        nets.runs_table(**asked)  # type: ignore[arg-type]


def test_wrong_options_raise_invalid_input(nets: Experiment) -> None:
    for wrong in ({"metrics": "median"}, {"limit": 0}, {"limit": True}):
        with pytest.raises(InvalidInput, match="it takes"):
            nets.runs_table(**wrong)


def test_the_best_run_has_the_greatest_or_least_finite_value(nets: Experiment) -> None:
    def name(run: Run) -> str:
        return run.display_name

    assert name(nets.best("loss")) == "b"
    assert nets.best("loss", mode="min").parent is not None
    assert name(nets.best("loss", mode="min", where="depth = 0")) == "a"
    start(nets, display_name="nan").log("nan", math.nan)
    for metric in ("nan", "note", "nothing"):
        with pytest.raises(NotFound, match=metric):
            nets.best(metric)
    with pytest.raises(InvalidInput, match="'max' or 'min'"):
        nets.best("loss", mode="least")
