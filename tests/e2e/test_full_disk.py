"""A training on a disk that fills up: nothing is half-written, values wait, all goes on after."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.storage.errors import DiskFull
from runlore.storage.log_query import LogQuery
from runlore.storage.merkle import Frontier
from runlore.workspace import session_of
from tests.disks import Disk
from tests.processes import wait_until

STEPS = 20_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path)
    yield disk
    disk.close()


def changes_until_full(run: Run) -> dict[str, str | None]:
    """The tags that were acknowledged before there was no room left."""
    acknowledged: dict[str, str | None] = {}
    with pytest.raises(DiskFull, match="nothing was stored, (free some space|raise the limit)"):
        for number in range(10_000):
            run.tag(f"tag-{number}", "x" * 10_000)
            acknowledged[f"tag-{number}"] = "x" * 10_000
    return acknowledged


def test_a_training_outlives_a_full_disk_and_loses_nothing(disk: Disk) -> None:
    with Workspace.create("lab", path=disk.folder / "lab") as workspace:
        experiment = Experiment(workspace, "full-disk")
        run = experiment.start_logging(outputs=False, snapshot_directory=None)
        run.tag("before", "1")
        disk.fill()

        acknowledged = changes_until_full(run)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for step in range(STEPS):
                run.log("loss", float(step))  # Never raises: the training goes on.
            run.log("text", "x" * 1_000_000)  # More than the last free page.
            with pytest.raises(DiskFull):
                run.flush()
            wait_until(lambda: len(caught) > 0, "the warning of the background")
        assert {str(warning.message).split(":")[0] for warning in caught} == {
            "logged values are not written yet and keep waiting"
        }
        assert run.get_tags() == {"before": "1", **acknowledged}

        disk.free()
        run.complete()
        assert run.get_metrics("loss") == {"loss": [float(step) for step in range(STEPS)]}
        assert run.get_status() == "Completed"
        assert [found.id for found in experiment.get_runs(tags="before")] == [run.id]
        log = session_of(workspace).log
        leaves = [row.leaf for row in log.read_log(LogQuery(limit=10**6))]
        assert log.head().frontier == Frontier().extended(leaves)


@pytest.mark.processes
def test_values_that_are_logged_when_there_is_room_again_survive_a_kill(disk: Disk) -> None:
    """Also those of a process that could not make its spool, because the disk was full."""
    folder = disk.folder / "lab"
    Workspace.create("lab", path=folder).close()

    def train() -> None:
        experiment = Experiment(Workspace.open(folder), "full-disk")
        run = experiment.start_logging(run_id="r", outputs=False, snapshot_directory=None)
        disk.fill(even_for_small_files=True)
        with pytest.warns(RuntimeWarning, match="keep waiting"):
            run.log("loss", 1.0)
        disk.free()
        run.flush()
        run.log("loss", 2.0)
        os.kill(os.getpid(), signal.SIGKILL)

    pid = os.fork()
    if pid == 0:
        train()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    with Workspace.open(folder) as workspace:
        assert workspace.get_run("r").get_metrics() == {"loss": [1.0, 2.0]}


def test_a_workspace_on_a_full_disk_can_still_be_read(disk: Disk) -> None:
    with Workspace.create("lab", path=disk.folder / "lab") as workspace:
        experiment = Experiment(workspace, "full-disk")
        run = experiment.start_logging(outputs=False, snapshot_directory=None)
        run.log("loss", 0.5)
        run.complete()
        disk.fill()

        assert run.get_metrics() == {"loss": 0.5}
        assert [found.id for found in experiment.get_runs()] == [run.id]
        assert workspace.sql("SELECT count(*) FROM runs").fetchall() == [(1,)]
        disk.free()
