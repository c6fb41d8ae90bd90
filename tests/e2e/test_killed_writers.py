"""kill -9 of processes that use the SDK: what it acknowledged is there, in the log and in lists."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.storage.log_query import LogQuery
from runlore.storage.merkle import Frontier
from runlore.workspace import session_of
from tests.chaos.rounds import KILLS

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]

Said = list[tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Workspace.create("lab", path=tmp_path / "lab") as workspace:
        experiment = Experiment(workspace, "crashes")
        yield experiment.start_logging(outputs=False, snapshot_directory=None)


def start(run: Run, point: str, number: int) -> subprocess.Popen[str]:
    folder = str(run.experiment.workspace.path)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.victim", folder, run.id, point, str(number)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def died(victim: subprocess.Popen[str], heard: list[str]) -> Said:
    """What the victim said before it was killed: (change, child id or "-")."""
    rest, _ = victim.communicate(timeout=60)
    assert victim.returncode == -signal.SIGKILL
    lines = [*heard, *rest.splitlines(keepends=True)]
    whole = [line.split() for line in lines if line.endswith("\n")]
    return [(int(change), child) for change, child in whole]


def killed_after(run: Run, changes: int) -> tuple[subprocess.Popen[str], Said]:
    victim = start(run, "never", 0)
    assert victim.stdout is not None
    heard = list(islice(victim.stdout, changes))
    victim.kill()
    return victim, died(victim, heard)


def assert_nothing_lost(run: Run, victim: subprocess.Popen[str], said: Said) -> None:
    tags, properties = run.get_tags(), run.get_properties()
    for change, child in said:
        assert tags[f"{victim.pid}-{change}"] == str(change)
        assert properties[f"{victim.pid}-{change}"] == "p"
        assert child == "-" or run.experiment.workspace.get_run(child).parent == run
    run.tag("survivor", "writes on")


def assert_consistent(run: Run) -> None:
    """The head is that of the leaves, and the projection shows what the log says."""
    workspace = run.experiment.workspace
    log = session_of(workspace).log
    rows = log.read_log(LogQuery(limit=10**6))
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    assert log.head().frontier == Frontier().extended(row.leaf for row in rows)
    shown = workspace.sql("SELECT key, value FROM tags WHERE run_id = ?", [run.id]).fetchall()
    assert dict(shown) == run.get_tags()
    created = [row for row in rows if row.topic == "run.created"]
    assert len(list(run.get_children())) == len(created) - 1


@pytest.mark.parametrize("point", ["before", "inside", "after"])
def test_a_kill_at_a_point_of_an_append_loses_nothing_acknowledged(run: Run, point: str) -> None:
    for round_ in range(KILLS // 4):
        victim = start(run, point, 1 + round_ * 7 % 40)
        said = died(victim, [])
        assert_nothing_lost(run, victim, said)
    assert_consistent(run)


def test_a_kill_after_the_commit_leaves_the_change_there(run: Run) -> None:
    """The one change that was not acknowledged is in the log, and once."""
    victim = start(run, "after", 1)

    assert died(victim, []) == []

    assert f"{victim.pid}-0" in run.get_tags()
    assert f"{victim.pid}-0" not in run.get_properties()


@pytest.mark.parametrize("point", ["before", "inside"])
def test_a_kill_before_the_commit_leaves_nothing(run: Run, point: str) -> None:
    head = session_of(run.experiment.workspace).log.head()

    assert died(start(run, point, 1), []) == []

    assert session_of(run.experiment.workspace).log.head() == head


def test_kills_at_random_moments_lose_nothing_acknowledged(run: Run) -> None:
    rng = random.Random(0)
    for _ in range(KILLS // 2):
        victim, said = killed_after(run, rng.randrange(1, 60))
        assert_nothing_lost(run, victim, said)
    assert_consistent(run)


def test_a_writer_goes_on_while_another_is_killed_again_and_again(run: Run) -> None:
    survivor = start(run, "never", 0)
    assert survivor.stdout is not None
    heard: list[str] = []
    try:
        for _ in range(KILLS // 4):
            victim, said = killed_after(run, 10)
            assert_nothing_lost(run, victim, said)
            heard.append(next(survivor.stdout))
    finally:
        survivor.kill()
    assert_nothing_lost(run, survivor, died(survivor, heard))
    assert_consistent(run)
