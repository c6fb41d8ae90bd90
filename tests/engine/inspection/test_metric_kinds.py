"""The names and kinds of a run's metrics are those that reading all its values finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import RunNotFound
from runlore.engine.inspection.charts import metric_kinds_of
from runlore.engine.runs.metric_reads import metrics_of
from runlore.run.run import handle_of
from runlore.workspace import session_of
from tests.engine.inspection.test_live_cells import unwritten
from tests.workspaces import in_memory, start


def kinds_of(ws: Workspace, run_id: str) -> dict[str, str]:
    session = session_of(ws)
    return metric_kinds_of(session, session.reader(), run_id)


def read(run: Run) -> dict[str, str]:
    return {name: metric.kind for name, metric in metrics_of(handle_of(run)).items()}


def test_each_kind_is_told_in_the_order_of_first_values() -> None:
    with in_memory("lab") as ws:
        other = start(Experiment(ws, "e"))
        other.log("z", 1.0)  # So that the series are known in another order.
        other.log("a", 1.0)
        run = start(Experiment(ws, "e"), run_id="r")
        run.log("loss", 0.5)
        run.flush()
        run.log_row("errors", kind="blur", count=3)
        run.log_confusion_matrix("matrix", {"data": {"class_labels": [], "matrix": []}})
        run.log("note", "a text")
        run.flush()
        before = ws.position
        run.log("a", 1.0)
        run.log_row("loss", x=1)
        run.flush()
        run.log("z", 1.0)

        found = kinds_of(ws, "r")

        assert list(found) == ["loss", "errors", "matrix", "note", "a", "z"]
        assert found == read(run)
        assert found["loss"] == "row"
        past = ws.as_of(before)
        assert list(kinds_of(past, "r")) == ["loss", "errors", "matrix", "note"]
        assert kinds_of(past, "r") == read(past.get_run("r"))


def test_a_metric_of_which_a_rewind_left_nothing_is_gone() -> None:
    with in_memory("lab") as ws:
        run = start(Experiment(ws, "e"), run_id="r")
        run.log("loss", 0.5, step=1)
        run.log("late", 0.5, step=9)
        run.rewind(5)

        assert list(kinds_of(ws, "r")) == ["loss"]
        assert kinds_of(ws, "r") == read(run)


def test_a_metric_is_there_before_it_is_in_the_log(tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab", show_output=False) as ws:
        run = start(Experiment(ws, "e"), run_id="r")
        run.log("loss", 0.5)
        run.flush()
        with unwritten(ws):
            run.log("loss", 0.25)
            run.log_row("table", x=1)
            run.log("new", 1)

            assert kinds_of(ws, "r") == {"loss": "scalar", "table": "row", "new": "scalar"}
        run.complete()


def test_an_unknown_run_has_no_metrics() -> None:
    with in_memory("lab") as ws, pytest.raises(RunNotFound):
        kinds_of(ws, "nobody")
