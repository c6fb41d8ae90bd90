"""Processes that log while somebody moves, removes or restores the folder of their workspace."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from tests.processes import in_child
from tests.workspaces import start

pytestmark = pytest.mark.processes


def logs_on(run: Run, *, forks: bool) -> list[str]:
    """Log as a training does, with a data loader; returns the warnings. Must not raise."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if forks:
            in_child(lambda: run.log("loss", -1.0))
        for value in range(1000):
            run.log("loss", float(value))
            run.log("fresh", {"value": value}.__str__())
        run.experiment.workspace.close()
    return [str(one.message) for one in told if one.category is RuntimeWarning]


def training(folder: Path, move: Callable[[], object], *, forks: bool) -> list[str]:
    """The warnings of a process that logs before and after a move of the folder."""
    run = start(Experiment(Workspace.open(folder), "e"), run_id="long")
    for value in range(10):
        run.log("before", float(value))
    run.flush()
    move()
    return logs_on(run, forks=forks)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    Workspace.create("lab", path=tmp_path / "lab").close()
    return tmp_path / "lab"


@pytest.mark.parametrize("forks", [False, True])
@pytest.mark.parametrize("begins_anew", [False, True])
def test_values_after_a_move_are_in_the_log_of_the_moved_folder(
    lab: Path, forks: bool, begins_anew: bool
) -> None:
    moved = lab.with_name("lab-2025")

    def move() -> None:
        lab.rename(moved)
        if begins_anew:
            in_child(lambda: Workspace.create("lab", path=lab).close())

    told = in_child(lambda: training(lab, move, forks=forks))

    assert len(told) == 1 and f"it is {moved} now" in told[0] and "wait in the moved" in told[0]
    if begins_anew:
        assert not (lab / "spools").exists() and len(os.listdir(lab / "writers")) == 0
        assert Workspace.open(lab).audit.verify().holds
    else:
        assert not lab.exists()
    with Workspace.open(moved) as ws:
        logged = ws.get_run("long").get_metrics()
        assert ws.audit.verify().holds
    assert logged["before"] == [float(value) for value in range(10)]
    assert sorted(logged["loss"]) == [-1.0] * forks + [float(value) for value in range(1000)]


@pytest.mark.parametrize("forks", [False, True])
@pytest.mark.parametrize("restores", [False, True])
def test_values_after_a_removal_are_said_to_be_lost_and_nothing_is_made_in_its_place(
    lab: Path, forks: bool, restores: bool
) -> None:
    backup = lab.with_name("backup")

    def remove() -> None:
        shutil.copytree(lab, backup)
        shutil.rmtree(lab)
        if restores:
            shutil.copytree(backup, lab)

    told = in_child(lambda: training(lab, remove, forks=forks))

    assert len(told) == 1 and "was removed while it was open" in told[0]
    assert told[0].endswith("values logged since then are lost")
    if restores:
        assert below(lab) == below(backup)
        with Workspace.open(lab) as ws:
            assert ws.audit.verify().holds
    else:
        assert not lab.exists()


def below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
