from __future__ import annotations

import html
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.notebook.run_card import run_card
from runlore.run.run import handle_of
from runlore.shown.card import CONFIG_MAX, METRICS_MAX
from tests.fresh_python import run_python
from tests.hostile.hostile_log import BENIGN, write_hostile_workspace
from tests.shown.pages import checked, rows, texts
from tests.workspaces import seen_again, start


def test_the_card_shows_what_a_run_is(exp: Experiment) -> None:
    run = start(exp, display_name="ViT <base>", tags={"stage": "first", "good": None})
    run.add_config({"lr": 0.1, "optimizer": {"name": "adam"}, "layers": [1, 2]})
    run.log_batch("loss", [1.0, 0.5, 0.123456])
    run.log("epoch", 7)
    run.log("note", "early")
    run.log_row("roc", fpr=0.1, tpr=0.7)
    run.complete()

    shown = seen_again(run)._repr_html_()

    said = texts(shown)
    assert "ViT <base>" in said
    assert "✓ Completed" in said and run.id in said
    assert "tags: stage=first, good" in said
    assert rows(shown) == [
        ["config", "value"],
        ["lr", "0.1"],
        ["optimizer.name", "adam"],
        ["layers", "[1,2]"],
        ["metric", "last", "curve", "values"],
        ["loss", "0.1235", "", "3"],
        ["epoch", "7", "", "1"],
        ["note", "early", "", "1"],
        ["roc", "a table", "", "1"],
    ]
    assert checked(shown).tags.count("svg") == 2


def test_a_failed_run_says_why(run: Run) -> None:
    run.fail("the disk <b>broke</b>")

    assert {"✕ Failed", "the disk <b>broke</b>"} <= set(texts(run._repr_html_()))


def test_a_run_that_executes_shows_what_it_has_logged_so_far(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    run.log("loss", 0.5)

    shown = seen_again(run)._repr_html_()

    assert "▶ Running" in texts(shown)
    assert ["loss", "0.5", "", "1"] in rows(shown)


def test_long_lists_are_cut_and_counted_and_system_metrics_left_out(exp: Experiment) -> None:
    run = start(exp)
    run.add_config({f"key{number}": number for number in range(CONFIG_MAX + 2)})
    run.log_metrics({f"m{number}": 0.5 for number in range(METRICS_MAX + 3)})
    run.log("system/cpu", 0.5)

    said = texts(run._repr_html_())

    assert "and 2 more" in said and "and 3 more" in said
    assert not [text for text in said if "system/" in text]


def test_the_card_of_a_run_of_very_many_batches_is_the_same(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    run.log_batch("a/loss", [1.0, float("nan"), 0.25])
    run.log("b", "text")
    run.log("system/cpu", 1.0)
    run.complete()

    of_log, of_tables = run_card(handle_of(run)), run_card(handle_of(run), batches_max=0)

    assert rows(of_log) == rows(of_tables)
    assert of_log == of_tables


def test_the_past_shows_the_card_as_it_was(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    before = folder_ws.position
    run.log("loss", 0.5)
    run.fail("later")

    shown = folder_ws.as_of(before).get_run(run.id)._repr_html_()

    assert "▶ Running" in texts(shown) and rows(shown) == []
    assert f"--as-of {before}" in (shown or "")


def test_a_closed_workspace_leaves_the_plain_text_to_the_notebook(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    folder_ws.close()

    assert run._repr_html_() is None
    assert run.experiment._repr_html_() is None


@pytest.mark.processes
def test_the_command_on_the_card_shows_the_run(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    run.complete()
    command = shlex.split(run.get_portal_url())
    assert html.escape(run.get_portal_url()) in (run._repr_html_() or "")

    ran = subprocess.run(
        [sys.executable, "-m", "runlore.cli", *command[1:]],
        capture_output=True,
        text=True,
        check=True,
    )

    assert command[0] == "runlore"
    assert json.loads(ran.stdout)["run_id"] == run.id


@pytest.mark.processes
def test_a_card_loads_no_database_of_tables(tmp_path: Path) -> None:
    printed = run_python(
        """
import sys, runlore
with runlore.init("e") as run:
    run.log("loss", 0.5)
assert not [name for name in sys.modules if name.startswith(("runlore.shown", "runlore.notebook"))]
assert "loss" in run._repr_html_()
assert run.history()._repr_html_()
assert run.values("loss")._repr_html_()
print("duckdb" in sys.modules)
""",
        cwd=tmp_path,
    )

    assert printed == "False\n"


def test_a_hostile_log_makes_an_inert_card(tmp_path: Path) -> None:
    write_hostile_workspace(tmp_path / "lab")
    with Workspace.open(tmp_path / "lab") as ws:
        run = ws.get_run(BENIGN)

        for shown in (run._repr_html_(), run_card(handle_of(run), batches_max=0)):
            assert "<script>alert(1)</script>" in checked(shown).text
