"""A killed trainer whose forked workers live on: its locks are free, and everybody goes on."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from tests.cached import cached
from tests.e2e.trainer import WORKERS
from tests.processes import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create("lab", path=tmp_path / "lab") as workspace:
        yield workspace


def killed_trainer(folder: Path) -> subprocess.Popen[bytes]:
    """A trainer that was killed while its workers wait for a byte each."""
    trainer = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.e2e.trainer", str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert trainer.stdout is not None
    assert trainer.stdout.readline() == b"forked\n"
    trainer.kill()
    trainer.wait()
    trainer.stdout.close()
    return trainer


def is_free(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_its_locks_are_free_and_others_go_on_at_once(workspace: Workspace) -> None:
    folder = workspace.path
    assert folder is not None
    trainer = killed_trainer(folder)

    locks = [folder / "log.sqlite-queue", *cached(folder).glob("*/*/lock")]
    assert len(locks) >= 2
    assert [lock for lock in locks if not is_free(lock)] == []
    run = Experiment(workspace, "forks").start_logging(outputs=False, snapshot_directory=None)
    run.complete()

    assert trainer.stdin is not None
    trainer.stdin.close()  # The workers read the end of the file and go on to their end.
    trained = workspace.get_run("trained")
    wait_until(lambda: len(trained.get_tags()) == WORKERS, "the workers to log and end")


def test_its_workers_log_into_the_run(workspace: Workspace) -> None:
    folder = workspace.path
    assert folder is not None
    trainer = killed_trainer(folder)
    assert trainer.stdin is not None

    trainer.stdin.write(b"x" * WORKERS)
    trainer.stdin.close()

    trained = workspace.get_run("trained")
    wait_until(lambda: len(trained.get_tags()) == WORKERS, "the workers to log and end")
    wait_until(
        lambda: sorted(trained.get_metrics("worker").get("worker", [])) == list(range(WORKERS)),
        "the workers' values",
    )
    assert trained.get_metrics("loss") == {"loss": [1.0, 0.5]}
