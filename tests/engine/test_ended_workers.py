"""Values of processes that have just ended are in every answer at once, however they ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from runlore import Experiment, Run, Workspace
from tests.processes import LIMIT_S, Child
from tests.ranks import folder_of
from tests.workspaces import start

pytestmark = [pytest.mark.processes, pytest.mark.on_disk]

ROUNDS = 3
KEPT_OPEN: Final[list[Workspace]] = []
"""The workspaces of a worker: one that is collected as garbage writes its values."""


def log_some(folder: Path, run_id: str, gate: Any = None) -> None:
    """Log into a run, when the gate is open, in a workspace that is left open, as workers do."""
    KEPT_OPEN.append(Workspace.open(folder))
    run = KEPT_OPEN[-1].get_run(run_id)
    assert gate is None or gate.wait(LIMIT_S)
    for value in range(10):
        run.log("loss", float(value), step=value)


def log_and_be_killed(folder: Path, run_id: str, gate: Any) -> None:
    log_some(folder, run_id, gate)
    os.kill(os.getpid(), signal.SIGKILL)


def log_and_exit_at_once(folder: Path, run_id: str, gate: Any) -> None:
    log_some(folder, run_id, gate)
    os._exit(0)


def agree(workspace: Workspace, run: Run) -> int:
    """The number of values in the run, which is the same by SQL, by the list and by the run."""
    ((counted,),) = workspace.sql("SELECT count(*) FROM metric_points").fetchall()
    logged = len(run.get_metrics().get("loss", []))
    assert counted == logged
    summed = workspace.sql("SELECT coalesce(sum(n), 0) FROM metrics").fetchall()
    assert summed == [(logged,)]
    return logged


@pytest.mark.parametrize(
    ("method", "work"),
    [
        ("fork", log_some),
        ("fork", log_and_be_killed),
        ("fork", log_and_exit_at_once),
        ("spawn", log_some),
    ],
)
def test_values_of_joined_processes_are_in_sql_at_once(
    folder_ws: Workspace, method: str, work: Callable[..., None]
) -> None:
    run = start(Experiment(folder_ws, "e"))
    context: Any = multiprocessing.get_context(method)
    for number in range(1, 1 + (ROUNDS if method == "fork" else 1)):
        gate = context.Event()
        arguments = folder_of(folder_ws), run.id, gate
        workers = [context.Process(target=work, args=arguments) for _ in range(2)]
        for worker in workers:
            worker.start()
        time.sleep(0.3)  # They open the workspace, and wait. If not, the test asks for less.
        assert agree(folder_ws, run) == 20 * (number - 1)  # Just before they log.
        gate.set()
        for worker in workers:
            worker.join()
        assert agree(folder_ws, run) == 20 * number


def test_values_of_a_forked_childs_own_run_object_are_in_sql_at_once(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    context = multiprocessing.get_context("fork")
    for number in range(1, 1 + ROUNDS):
        worker = context.Process(target=run.log_batch, args=("loss", range(10)))
        worker.start()
        worker.join()
        assert agree(folder_ws, run) == 10 * number


def test_values_of_a_pool_are_in_sql_at_once(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    for number in range(1, 1 + ROUNDS):
        with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
            for task in [pool.submit(log_some, folder_of(folder_ws), run.id) for _ in range(4)]:
                task.result()
        assert agree(folder_ws, run) == 40 * number


def test_threads_that_ask_at_the_same_time_see_the_same(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    for number in range(1, 1 + ROUNDS):
        Child(lambda: log_some(folder_of(folder_ws), run.id)).result()
        found: list[int] = []
        gate = threading.Barrier(4)

        def ask(gate: threading.Barrier = gate, found: list[int] = found) -> None:
            gate.wait()
            found.append(agree(folder_ws, run))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == 4 * [10 * number]


def count_without_steps(folder: Path, run_id: str) -> None:
    with Workspace.open(folder) as workspace:
        run = workspace.get_run(run_id)
        for _ in range(3):
            run.log("loss", 0.5)


def test_a_process_counts_steps_on_after_ended_ones_and_the_creator_from_its_own(
    folder_ws: Workspace,
) -> None:
    run = start(Experiment(folder_ws, "e"))
    for _ in range(2):
        Child(lambda: count_without_steps(folder_of(folder_ws), run.id)).result()
    Child(lambda: log_without_closing(folder_of(folder_ws), run.id)).result()
    run.log("loss", 0.5)
    assert sorted(run.values("loss").steps.tolist()) == [0, *range(9)]


def log_without_closing(folder: Path, run_id: str) -> None:
    KEPT_OPEN.append(Workspace.open(folder))
    run = KEPT_OPEN[-1].get_run(run_id)
    for _ in range(3):
        run.log("loss", 0.5)
