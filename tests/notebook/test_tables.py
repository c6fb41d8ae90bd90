from __future__ import annotations

from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from tests.hostile.hostile_log import BENIGN, write_hostile_workspace
from tests.shown.pages import checked, rows, texts
from tests.workspaces import start


def test_an_experiment_is_the_table_of_its_newest_runs(exp: Experiment) -> None:
    for number in range(3):
        run = start(exp, display_name=f"run {number}", tags={"stage": "x"})
        run.add_config({"lr": number / 10})
        run.log("val/acc", number / 4)
        run.log("system/cpu", 1.0)
        run.complete()

    shown = exp._repr_html_()

    head, *found = rows(shown)
    assert head[:4] == ["name", "status", "started", "duration"]
    assert head[4:] == ["config.lr", "tags.stage", "metrics.val/acc"]
    assert [(row[0], row[1], *row[4:]) for row in found] == [
        ("run 2", "✓ Completed", "0.2", "x", "0.5"),
        ("run 1", "✓ Completed", "0.1", "x", "0.25"),
        ("run 0", "✓ Completed", "0", "x", "0"),
    ]
    assert exp.name in texts(shown) and "3 rows" in texts(shown)


def test_experiments_are_a_table_with_the_number_of_their_runs(ws: Workspace) -> None:
    name = "другой <опыт> a/b.c"
    run, other = start(Experiment(ws, name)), start(Experiment(ws, name))
    other.fail("x")
    archived = start(Experiment(ws, name))
    archived.complete()
    archived.archive()
    Experiment(ws, "empty")

    shown = ws.experiments._repr_html_()  # type: ignore[attr-defined]  # a dict that a notebook shows

    assert rows(shown)[0] == ["experiment", "runs", "active", "failed", "last start"]
    assert [row[:4] for row in rows(shown)[1:]] == [
        ["другой &lt;опыт&gt; a/b.c", "2", "1", "1"],
        ["empty", "0", "0", "0"],
    ]
    assert list(ws.experiments) == [name, "empty"]
    assert run.get_status() == "Running"


def test_experiments_of_the_past_have_the_runs_of_then(folder_ws: Workspace) -> None:
    start(Experiment(folder_ws, "e"))
    before = folder_ws.position
    start(Experiment(folder_ws, "e"))

    past = folder_ws.as_of(before)

    assert rows(past.experiments._repr_html_())[1][:3] == ["e", "1", "1"]  # type: ignore[attr-defined]
    assert len(rows(past.experiments["e"]._repr_html_())) == 2


def test_no_experiment_is_no_table(folder_ws: Workspace) -> None:
    assert folder_ws.experiments._repr_html_() is None  # type: ignore[attr-defined]


def test_a_history_is_a_table(run: Run) -> None:
    run.tag("quality", "<good>")
    run.complete()

    shown = run.history()._repr_html_()  # type: ignore[attr-defined]  # a tuple that a notebook shows

    assert rows(shown)[0] == ["time", "who", "what", "key", "old", "new", "reason"]
    assert [row[2:6] for row in rows(shown)[1:]] == [
        ["created", "", "", "Running"],
        ["tag_set", "quality", "", "&lt;good&gt;"],
        ["completed", "", "Running", "Completed"],
    ]


@pytest.mark.parametrize("count, shown_rows", [(1, 1), (20, 20), (21, 20), (500, 20)])
def test_values_are_a_table_of_the_first_and_the_last(
    run: Run, count: int, shown_rows: int
) -> None:
    run.log_batch("loss", [number / 2 for number in range(count)])

    found = rows(run.values("loss")._repr_html_())

    assert found[0] == ["step", "time (UTC)", "loss"]
    assert len(found) == 1 + shown_rows
    assert (found[1][0], found[-1][0]) == ("0", str(count - 1))


def test_values_of_a_table_have_their_columns(run: Run) -> None:
    run.log_row("roc", fpr=0.1, tpr=None)

    [head, [_, _, *cells]] = rows(run.values("roc")._repr_html_())

    assert head[2:] == ["fpr", "tpr"] and cells == ["0.1", ""]


def test_a_result_of_sql_is_a_table_whatever_its_values(ws: Workspace) -> None:
    shown = ws.sql(
        "SELECT 1 AS a, 'x' AS \"<b>\", NULL AS c, [1, 2] AS d, INTERVAL 3 DAY AS e, "
        "TIMESTAMP '99999-01-01' AS f FROM range(30)"
    )._repr_html_()

    assert rows(shown)[0] == ["a", "&lt;b&gt;", "c", "d", "e", "f"]
    assert rows(shown)[1] == ["1", "x", "", "[1, 2]", "3 days, 0:00:00", "(not shown)"]
    assert "first 20 of 30 rows" in texts(shown)


def test_a_result_without_rows_is_a_table_of_heads(ws: Workspace) -> None:
    assert rows(ws.sql("SELECT 1 AS a WHERE false")._repr_html_()) == [["a"]]


def test_a_hostile_log_makes_inert_tables(tmp_path: Path) -> None:
    write_hostile_workspace(tmp_path / "lab")
    with Workspace.open(tmp_path / "lab") as ws:
        run = ws.get_run(BENIGN)
        shown = [
            *(experiment._repr_html_() for experiment in Experiment.list(ws)),
            ws.experiments._repr_html_(),  # type: ignore[attr-defined]
            run.history()._repr_html_(),  # type: ignore[attr-defined]
            ws.runs_table(include_children=True)._repr_html_(),
            ws.sql("SELECT * FROM events")._repr_html_(),
            *(run.values(name)._repr_html_() for name in run.get_metrics()),
        ]

    assert sum("<script>alert(1)</script>" in checked(table).text for table in shown) >= 4


def test_differences_are_a_table(run: Run) -> None:
    workspace = run.experiment.workspace
    before = workspace.position
    run.tag("quality", "<good>", reason="looked at")

    for found in (workspace.diff(before), run.diff(before)):
        [heads, row] = rows(found._repr_html_())  # type: ignore[attr-defined]  # a list that a notebook shows
        shown = dict(zip(heads, row, strict=True))
        assert (shown["what"], shown["kind"], shown["run_id"]) == ("tag", "created", run.id)
        assert (shown["new"], shown["reason"]) == ("&lt;good&gt;", "looked at")
