"""Cells of tables have the values of live spools, each once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Workspace
from runlore.domain.errors import FilterError
from runlore.engine.inspection.live_cells import live_cells
from runlore.projections.filters import ALL_RUNS
from runlore.workspace import session_of
from tests.engine.inspection.test_charts import logging
from tests.processes import wait_until
from tests.workspaces import start

AGGREGATES = ("last", "first", "min", "max", "mean", "n")
COLUMNS = [f"metrics.loss.{aggregate}" for aggregate in AGGREGATES]


@contextmanager
def unwritten(ws: Workspace) -> Iterator[None]:
    """Inside, nothing is written to the log: what is logged is nowhere else than in its spool."""
    session: Any = session_of(ws)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(session._values, "_empty", lambda: None)
        patched.setattr(session, "before_read", lambda **_: None)
        patched.setattr(session, "_has_unwritten", True)
        yield


def cells_of(ws: Workspace, columns: list[str]) -> dict[str, dict[str, Any]]:
    session = session_of(ws)
    return live_cells(session, session.reader(), ["run", "ended", "nobody"], columns).cells


def written(ws: Workspace, columns: list[str]) -> dict[str, Any]:
    """What the tables say once all is in the log."""
    table = session_of(ws).reader().runs_table(ALL_RUNS, columns=["id", *columns])
    return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in table}


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for column, value in one.items():
        assert value == pytest.approx(other[column], nan_ok=True), column


@pytest.mark.parametrize("before", [[], [0.5, 2.0], [math.nan], [math.inf, -1.0]])
@pytest.mark.parametrize("after", [[0.25, 3.0], [math.nan], [-math.inf, 1.0]])
def test_aggregates_are_those_that_the_tables_will_have(
    before: list[float], after: list[float], tmp_path: Path
) -> None:
    with Workspace.create("lab", path=tmp_path / "lab", show_output=False) as ws:
        run = start(Experiment(ws, "live"), run_id="run")
        start(Experiment(ws, "live"), run_id="ended").complete()
        for value in before:
            run.log("loss", value)
        run.flush()
        assert cells_of(ws, COLUMNS) == {}
        with unwritten(ws):
            for value in after:
                run.log("loss", value)
            found = cells_of(ws, COLUMNS)
        run.flush()

        assert found.keys() == {"run"}
        same(found["run"], written(ws, COLUMNS)["run"])


def test_texts_and_other_columns_come_with_the_log(tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab", show_output=False) as ws:
        run = start(Experiment(ws, "live"), run_id="run")
        with unwritten(ws):
            run.log("note", "text")
            run.log("note", 1.0)
            run.log("val/acc", 0.5)
            found = cells_of(ws, ["metrics.note", "metrics.val/acc", "metrics.none", "status"])

        assert found == {"run": {"metrics.val/acc": 0.5}}
        with pytest.raises(FilterError):
            cells_of(ws, ["nothing.here"])


@pytest.mark.processes
def test_values_of_another_process_are_there_at_once(tmp_path: Path) -> None:
    told = tmp_path / "told"
    with Workspace.create("lab", path=tmp_path / "lab") as ws, logging(ws, told, 0.01):
        session = session_of(ws)

        def is_live() -> bool:
            said = int.from_bytes(told.read_bytes(), "little")
            found = live_cells(session, session.reader(), ["live"], ["metrics.loss"]).cells
            return bool(found) and found["live"]["metrics.loss"] >= said

        wait_until(is_live, "a value that is not in the log")
