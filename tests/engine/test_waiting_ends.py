"""Ends that cannot be written wait in the spool, and are recorded by whoever drains it."""

from __future__ import annotations

import os
import signal
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Workspace
from runlore.domain.decision import Decision
from runlore.domain.events import TagSet
from runlore.domain.run_state import RunState
from runlore.domain.status import Status
from runlore.engine.runs.leaving import leave
from runlore.engine.streams import stream_of_run
from runlore.run.run import handle_of
from runlore.workspace import session_of
from tests.disks import Disk
from tests.engine.test_leaving import ends_of
from tests.processes import wait_until
from tests.ranks import folder_of, ranks
from tests.workspaces import start

processes = pytest.mark.processes


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = Disk(folder)
    yield disk
    disk.close()


@pytest.fixture
def small(disk: Disk) -> Path:
    """The folder of a workspace on the disk."""
    folder = disk.folder / "lab"
    Workspace.create("lab", path=folder).close()
    return folder


@processes
def test_a_process_killed_on_a_full_disk_after_it_left_ends_its_run(
    disk: Disk, small: Path
) -> None:
    with ranks(small, 1, disk) as (rank,):
        run_id = rank.ask("create")
        rank.ask("log", "loss", 0.5)
        rank.ask("fill_disk")
        rank.ask("log", "loss", 0.25, False)
        assert "is not recorded yet" in rank.ask("leave_in_vain", "Canceled")
        rank.kill()
    if disk.mounted:
        disk.free()
    with Workspace.open(small) as workspace:
        run = workspace.get_run(run_id)
        assert run.get_status() == "Canceled"
        assert run.get_metrics() == {"loss": [0.5, 0.25]}
        *_, end = session_of(workspace).journal.facts(f"run/{run_id}")
        assert end.observed_at <= end.recorded_at


@processes
def test_an_end_that_somebody_recorded_in_between_stays(disk: Disk, small: Path) -> None:
    with ranks(small, 1, disk) as (rank,):
        run_id = rank.ask("create")
        rank.ask("log", "loss", 0.5)
        rank.ask("fill_disk")
        rank.ask("leave_in_vain", "Completed")
        os.kill(rank.pid, signal.SIGSTOP)
        if disk.mounted:
            disk.free()
        with Workspace.open(small) as workspace:
            workspace.get_run(run_id).fail("stopped by hand")
            os.kill(rank.pid, signal.SIGCONT)
            if not disk.mounted:
                rank.ask("free_disk")
            rank.close()
            assert ends_of(workspace, run_id) == ["Failed"]


@processes
@pytest.mark.parametrize("dies", [True, False])
def test_an_outcome_that_waits_counts_for_those_who_leave_later(
    disk: Disk, small: Path, dies: bool
) -> None:
    with ranks(small, 2, disk) as (first, second), Workspace.open(small) as workspace:
        run_id = first.ask("create")
        second.ask("join", run_id)
        first.ask("log", "loss", 0.5)
        first.ask("fill_disk")
        assert "is not recorded yet" in first.ask("leave_in_vain", "Canceled")
        if dies:
            first.kill()
            if disk.mounted:
                disk.free()
            assert second.ask("leave", "Completed")
        else:
            first.ask("free_disk")
            second.ask("leave", "Completed")
            wait_until(lambda: ends_of(workspace, run_id) != [], "the end")
        assert ends_of(workspace, run_id) == ["Canceled"]


@processes
def test_two_that_were_killed_after_they_left_on_a_full_disk_count_both(
    disk: Disk, small: Path
) -> None:
    with ranks(small, 2, disk) as (first, second):
        run_id = first.ask("create")
        second.ask("join", run_id)
        for rank in (first, second):
            rank.ask("log", "loss", 0.5)
        first.ask("fill_disk")
        if not disk.mounted:
            second.ask("fill_disk")
        first.ask("leave_in_vain", "Completed")
        second.ask("leave_in_vain", "Canceled")
        first.kill()
        second.kill()
    if disk.mounted:
        disk.free()
    with Workspace.open(small) as workspace:
        assert workspace.get_run(run_id).get_status() == "Canceled"


def test_a_process_leaves_in_the_middle_of_a_change(folder_ws: Workspace) -> None:
    """As a signal handler does that interrupts a flush: the process leaves when that is done."""
    run = start(Experiment(folder_ws, "e"))
    other = start(Experiment(folder_ws, "e"))
    run.log("loss", 0.5)

    def decide(_: RunState | None) -> Decision:
        assert not leave(handle_of(run), Status.COMPLETED)
        return Decision((TagSet(key="a", value="b"),))

    session = session_of(folder_ws).writable()
    session.change(stream_of_run(other.id), decide, flush_values=True)
    assert run.get_status() == "Completed"
    assert run.get_metrics() == {"loss": 0.5}


@processes
def test_a_block_that_fails_on_a_full_disk_leaves_its_error(disk: Disk, small: Path) -> None:
    with Workspace.open(small) as workspace:
        run = start(Experiment(workspace, "e"))
        run.log("loss", 0.5)
        run.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            with pytest.raises(ValueError, match="boom"), run:
                disk.fill(even_for_small_files=True)
                raise ValueError("boom")
            disk.free()
            wait_until(lambda: run.get_status() == "Failed", "the end is recorded")
        assert "boom" in run.get_details()["error"]["error"]["message"]


def test_a_process_leaves_while_the_log_is_locked(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    run.log("loss", 0.5)
    run.flush()
    log: Any = session_of(folder_ws).log
    log.database.lock_timeout_s = 0.05
    log.database.close()
    other = sqlite3.connect(folder_of(folder_ws) / "log.sqlite", isolation_level=None)
    with closing(other):
        other.execute("BEGIN IMMEDIATE")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            assert not leave(handle_of(run), Status.COMPLETED)
    assert run.get_status() == "Running"
    wait_until(lambda: run.get_status() == "Completed", "the end is recorded")
