"""Charts of runs that log while they are read: each value is there once, at once."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Workspace
from runlore.engine.inspection.charts import chart_of, waiting_since
from runlore.projections.charts import ChartQuestion, ChartSeries
from runlore.run import Run
from runlore.workspace import session_of
from tests.processes import LIMIT_S, start_python, wait_until
from tests.workspaces import start

LOGGING = """
import os, sys, time
import runlore
folder, told, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
ws = runlore.Workspace.open(folder)
run = runlore.Experiment(ws, "live").start_logging(
    run_id="live", outputs=False, snapshot_directory=None, capture=False)
fd = os.open(told, os.O_RDWR | os.O_CREAT)
for n in range(100_000):
    run.log("loss", float(n), step=n)
    os.pwrite(fd, n.to_bytes(8, "little"), 0)
    time.sleep(pause)
"""


@contextmanager
def logging(ws: Workspace, told: Path, pause_s: float) -> Iterator[Any]:
    """A process that logs 0, 1, 2 … and says in the file how far it is."""
    told.write_bytes(b"")
    process = start_python(LOGGING, ws.path, told, pause_s)
    try:
        wait_until(lambda: len(told.read_bytes()) == 8 or process.poll() is not None, "a value")
        yield process
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def series_of(ws: Workspace, **options: Any) -> list[ChartSeries]:
    session = session_of(ws)
    question = ChartQuestion(["live"], ["loss"], **{"buckets": 10_000, **options})
    return chart_of(session, session.reader(), question).series


@pytest.mark.processes
def test_each_value_is_there_once_and_at_once(tmp_path: Path) -> None:
    told = tmp_path / "told"
    with (
        Workspace.create("lab", path=tmp_path / "lab") as ws,
        logging(ws, told, 0.001),
    ):
        was_live = 0
        until = time.monotonic() + 3
        while time.monotonic() < until or not was_live:
            said = int.from_bytes(told.read_bytes(), "little")
            was_live += bool(waiting_since(session_of(ws), ["live"]).get("live"))
            [one] = series_of(ws)
            assert one.last.tolist() == list(range(len(one.last)))
            assert one.n.tolist() == [1] * len(one.last)
            assert len(one.last) > said
            assert time.monotonic() < until + LIMIT_S


@pytest.mark.processes
def test_values_of_a_stopped_process_are_there(tmp_path: Path) -> None:
    """They wait in its spool, which nobody empties."""
    told = tmp_path / "told"
    with (
        Workspace.create("lab", path=tmp_path / "lab") as ws,
        logging(ws, told, 0.02) as process,
    ):
        session = session_of(ws)

        def stopped_with_values() -> bool:
            process.send_signal(signal.SIGSTOP)
            if waiting_since(session, ["live"]).get("live", {}).get("loss"):
                return True
            process.send_signal(signal.SIGCONT)
            return False

        wait_until(stopped_with_values, "a waiting value")
        waiting = waiting_since(session, ["live", "other"])
        [one] = series_of(ws, smooth=5.0)
        logged = series_of(ws.as_of(ws.position))
        assert waiting.keys() == {"live"}
        assert waiting["live"]["loss"] / 1e6 == pytest.approx(time.time(), abs=LIMIT_S)
        assert one.last.tolist() == ws.get_run("live").values("loss").values.tolist()
        assert one.smooth is not None
        assert len(one.smooth) == len(one.last)
        assert sum(len(then.last) for then in logged) < len(one.last)


def test_values_of_this_process_are_there(tmp_path: Path) -> None:
    """Only numbers are."""
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        run = start(Experiment(ws, "live"), run_id="live")
        run.log("other", 1.0)
        run.flush()
        for value in (2.0, math.nan, True, 7):
            run.log("loss", value)
        run.log("text", "no number")
        [one] = series_of(ws)
        assert (one.n.tolist(), one.last[[0, 2, 3]].tolist()) == ([1] * 4, [2.0, 1.0, 7.0])
        assert values_of(run) == [2.0, None, True, 7]


def values_of(run: Run) -> list[Any]:
    """The values without NaN, which equals nothing."""
    return [None if value != value else value for value in run.get_metrics()["loss"]]
