"""Processes of commit 96927dc and of this runlore on one workspace, at the same time."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.testing.logs import check_head
from tests.old.old_runlore import OldRunlore, make_environment
from tests.workspaces import project as project
from tests.workspaces import start

pytestmark = [pytest.mark.long, pytest.mark.processes]

OPEN = """
from runlore import Experiment, Workspace
ws = Workspace.open("lab")
exp = Experiment(ws, "explore-runs")
"""
CREATE = """
from runlore import Experiment, Workspace
ws = Workspace.create("lab")
exp = Experiment(ws, "explore-runs")
run = exp.start_logging(run_id="theirs", outputs=False, snapshot_directory=None)
run.log("loss", 1.0)
run.flush()
"""


@pytest.fixture(scope="module")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(tmp_path_factory.mktemp("old"))


@pytest.fixture
def old(old_python: Path, project: Path) -> Iterator[OldRunlore]:
    """An old process, which has made the workspace `lab` and a run `theirs` in it."""
    with OldRunlore(old_python, project) as process:
        assert process.does(CREATE) is None
        yield process


def test_the_environment_has_the_old_runlore(old: OldRunlore, old_python: Path) -> None:
    where = old.does("import runlore, runlore.storage; said = runlore.storage.__file__")
    assert where.startswith(str(old_python.parents[1]))
    assert old.does("import runlore.storage.log_version") == {
        "error": "ModuleNotFoundError",
        "message": "No module named 'runlore.storage.log_version'",
    }


def test_both_write_until_the_first_event_that_the_old_one_must_not_pass_over(
    old: OldRunlore,
) -> None:
    with Workspace.open("lab") as ws:
        run = ws.get_run("theirs")
        run.tag("by", "the new one")
        run.log("loss", 0.5)
        run.flush()
        assert old.does("said = run.get_tags(), run.get_metrics()") == [
            {"by": "the new one"},
            {"loss": [1.0, 0.5]},
        ]
        old.does("run.tag('by', 'the old one'); run.log('loss', 0.25); run.flush()")
        assert run.get_tags() == {"by": "the old one"}
        assert old.does("said = [run.id for run in exp.get_runs(tags='by')]") == ["theirs"]
        assert ws.log.version == 1

        start(Experiment(ws, "explore-runs"), run_id="ours").tag("by", "the new one")

        assert ws.log.version == 2
        head = check_head(ws.log)
        for change in (
            "run.tag('by', 'the old one again')",
            "run.add_properties({'author': 'me'})",
            "exp.start_logging(run_id='more', outputs=False, snapshot_directory=None)",
            "Experiment(ws, 'another')",
            "run.complete()",
        ):
            assert old.does(change) == {
                "error": "IntegrityError",
                "message": "CHECK constraint failed: a newer runlore writes to this log now: "
                "upgrade runlore",
            }
        assert ws.log.head() == head
        ws.get_run("ours").complete()
        assert ws.get_run("theirs").get_tags() == {"by": "the old one"}
        assert [run.id for run in ws.experiments["explore-runs"].get_runs()] == ["ours", "theirs"]
        assert ws.audit.verify().holds
        assert ws.audit.replay().holds


def test_values_that_the_old_one_cannot_write_any_more_are_not_lost(old: OldRunlore) -> None:
    with Workspace.open("lab") as ws:
        start(Experiment(ws, "explore-runs"), run_id="ours")
        old.does("run.log('loss', 0.5); run.log('late', 7)")
        assert old.does("run.flush()")["error"] == "IntegrityError"
        assert ws.get_run("theirs").get_metrics() == {"loss": [1.0, 0.5], "late": 7}
        old.does("run.log('loss', 0.25)")

        exit_code, complaints = old.end()

        assert (exit_code, "upgrade runlore" in complaints) == (0, True)
    with Workspace.open("lab") as ws:
        assert ws.get_run("theirs").get_metrics() == {"loss": [1.0, 0.5, 0.25], "late": 7}
        points = ws.sql("SELECT count(*) FROM metric_points WHERE run_id = 'theirs'").fetchall()
        assert points == [(4,)]
        assert ws.audit.verify().holds
    assert list(Path("lab/spools").iterdir()) == []


def test_an_old_one_refuses_the_bundle_of_a_new_one(old: OldRunlore, project: Path) -> None:
    with Workspace.create("other") as other:
        start(Experiment(other, "explore-runs"), run_id="ours").complete()
        assert other.export("new.bundle").version == 2

    refused = old.does("ws.import_bundle('new.bundle')")

    assert refused["error"] == "BundleRefused"
    assert "it is of format version 2, and this runlore reads 1" in refused["message"]
    with Workspace.open("lab") as ws:
        assert ws.import_bundle("new.bundle").runs == 1
        assert ws.log.version == 2


def test_an_old_one_that_comes_later_is_refused_and_changes_nothing(
    old: OldRunlore, old_python: Path, project: Path
) -> None:
    old.does("run.complete(); ws.close()")
    with Workspace.open("lab") as ws:
        start(Experiment(ws, "explore-runs"), run_id="ours").complete()
    before = Path("lab/log.sqlite").read_bytes()

    with OldRunlore(old_python, project) as late:
        refused = late.does(OPEN)

    assert refused["error"] == "NotALog"
    assert "schema version 2, this runlore knows up to 1; upgrade runlore" in refused["message"]
    assert Path("lab/log.sqlite").read_bytes() == before


def test_values_in_a_living_old_ones_spool_are_read_and_left_to_it(old: OldRunlore) -> None:
    old.does("run.log('loss', 0.5)")

    with Workspace.open("lab") as ws:
        assert ws.get_run("theirs").get_metrics() == {"loss": [1.0, 0.5]}
        old.does("run.flush(); run.log('loss', 0.25); ws.close()")
        assert ws.get_run("theirs").get_metrics() == {"loss": [1.0, 0.5, 0.25]}


def test_values_of_a_killed_old_one_are_recovered(old: OldRunlore) -> None:
    old.does("run.log('loss', 0.5)")
    old.kill()

    with Workspace.open("lab") as ws:
        assert ws.get_run("theirs").get_metrics() == {"loss": [1.0, 0.5]}
        points = ws.sql("SELECT value FROM metric_points ORDER BY step").fetchall()
        assert points == [(1.0,), (0.5,)]


def test_an_old_one_leaves_the_spools_of_a_killed_new_one_alone(
    old: OldRunlore, old_python: Path, project: Path
) -> None:
    killed = subprocess.run([sys.executable, "-c", LOG_AND_DIE], cwd=project, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = contents_of(project / "lab" / "spools", "*.spool2")
    assert left

    old.does("run.log('loss', 0.5); run.flush()")
    with OldRunlore(old_python, project) as other:
        assert other.does(OPEN + "said = [run.id for run in exp.get_runs()]") == ["theirs"]
        other.does("run = exp.start_logging(run_id='more', outputs=False, snapshot_directory=None)")
        other.does("run.log('loss', 1.0); run.complete(); ws.close()")
    old.does("ws.close()")

    assert contents_of(project / "lab" / "spools", "*") == left
    with Workspace.open("lab") as ws:
        assert ws.get_run("theirs").get_metrics() == {"loss": [1.0, 0.5], "ours": [1.0, 2.0]}
        assert ws.audit.verify().holds


LOG_AND_DIE = """
import os, signal
from runlore import Workspace
run = Workspace.open("lab").get_run("theirs")
run.log("ours", 1.0)
run.log("ours", 2.0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def contents_of(folder: Path, pattern: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob(pattern)}
