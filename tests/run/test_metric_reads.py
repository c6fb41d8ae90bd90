"""Metrics read back: as arrays, as charts, while others log, and from very many batches."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runlore import Experiment, MetricValues, Run, Workspace
from runlore.domain.errors import InvalidInput
from runlore.engine.runs.metric_reads import metrics_of, values_of
from runlore.run.run import handle_of
from runlore.storage import spool_folder
from tests.fresh_python import run_python
from tests.processes import LIMIT_S, in_child
from tests.workspaces import seen_again, start


def test_values_are_steps_times_and_values_as_arrays(run: Run) -> None:
    before = np.datetime64("now", "us") - np.timedelta64(1, "s")
    run.log("m", 0.5, step=10)
    run.log("m", 0.25, step=20)

    metric = run.values("m")

    assert isinstance(metric, MetricValues)
    steps, times, values = metric
    assert len(metric) == 2
    assert (metric.name, metric.kind) == ("m", "scalar")
    assert (steps.dtype, steps.tolist()) == (np.dtype(np.int64), [10, 20])
    assert (values.dtype, values.tolist()) == (np.dtype(np.float64), [0.5, 0.25])
    assert times.dtype == np.dtype("datetime64[us]")
    assert before <= times[0] <= times[1] <= np.datetime64("now", "us") + np.timedelta64(2, "s")


def test_values_have_the_narrowest_type_that_holds_them_all(run: Run) -> None:
    run.log_list("int", [1, 2])
    run.log_list("float", [1.0, 2.0])
    run.log_list("text", ["a", "b"])
    run.log_list("huge", [2**200 + 1])

    assert {name: run.values(name).values.dtype for name in ("int", "float", "text", "huge")} == {
        "int": np.int64,
        "float": np.float64,
        "text": np.dtype(object),
        "huge": np.dtype(object),
    }


def test_values_of_a_table_are_its_columns(run: Run) -> None:
    run.log_row("m", x=1, y=2.5)
    run.log_row("m", x=2)

    metric = run.values("m")

    assert metric.kind == "row"
    assert metric.columns["x"].tolist() == metric.values.tolist() == [1, 2]
    assert metric.columns["y"].tolist() == [2.5, None]


def test_values_of_an_unknown_metric_name_the_known_ones(run: Run) -> None:
    run.log("loss", 1)

    with pytest.raises(InvalidInput, match="has no metric 'los'; it has: loss"):
        run.values("los")


# --- who logs, and when it is seen ------------------------------------------------------------


def test_values_of_several_objects_of_one_run_are_all_kept(run: Run) -> None:
    run.log("m", 1)
    again = seen_again(run)
    again.log("m", 2)

    assert sorted(run.get_metrics()["m"]) == [1, 2]


def test_children_can_log_to_their_parent(run: Run) -> None:
    child = run.child_run().child_run()

    assert child.parent is not None
    child.parent.log("m", 1)
    child.root.log("MyMetric", f"Data from child run {child.id}")

    assert child.parent.get_metrics() == {"m": 1}
    assert run.get_metrics() == {"MyMetric": f"Data from child run {child.id}"}


@pytest.mark.processes
def test_values_of_two_processes_are_all_kept_in_their_order(
    folder_ws: Workspace, project: Path
) -> None:
    run = start(Experiment(folder_ws, "e"))
    for value in range(100):
        run.log("mine", value)
        run.log("both", value)
    run_python(
        f"""
import runlore
run = runlore.Workspace.open({folder_ws.uri!r}).get_run({run.id!r})
for value in range(100):
    run.log("theirs", value)
    run.log("both", value)
""",
        cwd=project,
    )

    metrics = run.get_metrics()

    assert metrics["mine"] == metrics["theirs"] == list(range(100))
    assert sorted(metrics["both"]) == sorted([*range(100), *range(100)])


def test_threads_that_share_a_run_lose_nothing(run: Run) -> None:
    def log(name: str) -> None:
        for value in range(1_000):
            run.log(name, value)
            run.log("shared", value)

    threads = [threading.Thread(target=log, args=(f"m{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    metrics = run.get_metrics()
    assert [metrics[f"m{number}"] for number in range(4)] == [list(range(1_000))] * 4
    assert sorted(metrics["shared"]) == sorted(list(range(1_000)) * 4)
    assert sorted(run.values("shared").steps.tolist()) == list(range(4_000))


def test_a_read_in_the_same_process_sees_every_value_that_was_logged(exp: Experiment) -> None:
    run = start(exp)
    run.log("m", 0.5)

    result = exp.workspace.sql("SELECT metric, last FROM metrics WHERE run_id = ?", [run.id])

    assert result.fetchall() == [("m", 0.5)]


def test_flush_makes_values_visible_to_other_processes(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    run.log("m", 1)

    run.flush(timeout_seconds=1)

    with Workspace.open(folder_ws.uri) as other:
        assert other.get_run(run.id).get_metrics() == {"m": 1}


FORKING = """
import os, warnings, runlore

# Python 3.12 warns of any thread, DuckDB's own included.
warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
ws = runlore.Workspace.create("lab")
run = runlore.Experiment(ws, "e").start_logging(outputs=False, snapshot_directory=None)
list(runlore.Experiment(ws, "e").get_runs())  # The projection is open when the process forks.
children = []
for number in range(4):
    for value in range(50):
        run.log("parent", number * 50 + value)
    pid = os.fork()
    if pid == 0:
        for value in range(50):
            run.log(f"child {number}", value)
        run.tag(f"child {number}", "was here")
        assert len(list(runlore.Experiment(ws, "e").get_runs())) == 1
        run.flush()
        os._exit(0)
    children.append(pid)
for value in range(200, 250):
    run.log("parent", value)
assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 4
run.complete()
print(run.id)
"""


@pytest.mark.processes
def test_a_fork_while_a_run_logs_loses_and_repeats_nothing(project: Path) -> None:
    run_id = run_python(FORKING, cwd=project).strip()

    run = Workspace.open("lab").get_run(run_id)

    assert run.get_status() == "Completed"
    assert run.get_tags() == {f"child {number}": "was here" for number in range(4)}
    expected: dict[str, Sequence[int]] = {f"child {number}": list(range(50)) for number in range(4)}
    assert run.get_metrics() == {"parent": list(range(250)), **expected}


# --- charts -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_values_for_a_chart_are_few_with_ends_and_peaks(run: Run) -> None:
    run.log_batch("loss", [float(n % 100) for n in range(5_000)], steps=range(0, 10_000, 2))
    run.log_batch("peak", [1.0] * 700 + [9.0] + [1.0] * 299)

    steps, times, values = run.values("loss", max_points=50)
    peak = run.values("peak", max_points=10)

    assert len(steps) == len(times) == len(values) <= 50
    assert (steps[0], steps[-1]) == (0, 9_998)
    assert (values.min(), values.max()) == (0.0, 99.0)
    assert steps.tolist() == sorted(steps.tolist())
    assert times.dtype == run.values("loss").times.dtype
    assert 9.0 in peak.values.tolist() and 700 in peak.steps.tolist()


def test_a_short_series_is_shown_whole_and_what_was_just_logged_counts(run: Run) -> None:
    for value in (1, "text", None, 2.5):
        run.log("loss", value)

    shown = run.values("loss", max_points=4)

    assert repr(shown.values.tolist()) == "[1.0, nan, nan, 2.5]"
    assert shown.steps.tolist() == [0, 1, 2, 3]
    assert (shown.name, shown.kind, list(shown.columns)) == ("loss", "scalar", ["loss"])


def test_what_no_chart_shows_is_refused(run: Run) -> None:
    run.log("loss", 1.0)
    run.log_row("roc", x=1, y=2)

    with pytest.raises(InvalidInput, match="has no metric 'nothing'; it has: loss, roc"):
        run.values("nothing", max_points=10)
    with pytest.raises(InvalidInput, match="'roc' is a row; max_points is for scalar metrics"):
        run.values("roc", max_points=10)
    with pytest.raises(InvalidInput, match="max_points is 1"):
        run.values("loss", max_points=1)


# --- what other processes log, and runs of very many batches -----------------------------------


def log_mixed(run: Run) -> None:
    for number in range(30):
        run.log("loss", number / 7)
        run.log("mixed", [number, "text", None, 2**70, True][number % 5])
        run.log_row("roc", fpr=number / 30, tpr=1.0)
        if number % 10 == 0:
            run.log_row("roc", fpr=number, label="a", other=2**60)
            run.flush()
    run.log("both", 1.0)
    run.log_row("both", a=1, b="x")


def shown(values: MetricValues) -> list[Any]:
    return [
        values.kind,
        values.steps.tolist(),
        values.times.tolist(),
        [(name, column.dtype, column.tolist()) for name, column in values.columns.items()],
    ]


@pytest.mark.processes
@pytest.mark.parametrize("ended", [True, False], ids=["in the log", "in a spool"])
def test_a_long_run_reads_from_the_projection_what_the_log_and_the_spools_hold(
    folder_ws: Workspace, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    run = start(Experiment(folder_ws, "explore-runs"))

    def child() -> None:
        log_mixed(run)
        if ended:
            run.flush()

    in_child(child)  # Its end is that of a killed process: nothing is cleaned up.
    monkeypatch.setattr(spool_folder.Recovery, "run", lambda _: 0)
    names = ["loss", "mixed", "roc", "both"]
    from_the_log = [shown(run.values(name)) for name in names]

    read = partial(values_of, handle_of(run), batches_max=0)
    assert [shown(read(name)) for name in names] == from_the_log
    assert len(read("loss")) == 30
    with pytest.raises(InvalidInput, match="no metric 'nothing'"):
        read("nothing")
    assert metrics_of(handle_of(run), "nothing", batches_max=0) == {}


@pytest.mark.processes
def test_charts_show_what_a_living_process_has_logged(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "explore-runs"))
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        run.log_batch("loss", [float(n % 10) for n in range(1_000)])
        os.write(write_end, b"x")
        time.sleep(LIMIT_S)
        os._exit(0)
    try:
        os.read(read_end, 1)
        assert run.get_metrics("loss") == {"loss": [float(n % 10) for n in range(1_000)]}
        chart = run.values("loss", max_points=20)
        assert 2 <= len(chart) <= 20
        assert (chart.steps[0], chart.steps[-1]) == (0, 999)
        assert (chart.values.min(), chart.values.max()) == (0.0, 9.0)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read_end)
        os.close(write_end)
