"""All ranks of a job execute one run: real processes, as a launcher starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from runlore import Run, Workspace
from tests.fresh_python import LIMIT_S, without_settings

pytestmark = pytest.mark.processes

TRAIN = """
import os, sys, time
import runlore
rank = int(os.environ["RANK"])
run = runlore.init("e", workspace="lab", config={"rank": rank}, name=f"of rank {rank}")
run.log("loss", float(rank))
run.log(f"of_{rank}", 1.0)
"""
TOGETHER = """
open(f"came-{rank}", "w").close()
while len([name for name in os.listdir() if name.startswith("came-")]) < 4:
    time.sleep(0.01)
"""


def torchrun(
    folder: Path,
    code: str,
    *,
    ranks: Sequence[int] = range(4),
    size: int = 4,
    restart: int = 0,
    per_host: int = 4,
    train: str = TRAIN,
    captures: bool = False,
) -> dict[int, int]:
    """Exit codes by rank of processes that this one starts, as torchrun would.

    With `captures` runs record of themselves what they do by default.
    """
    script = folder / "train.py"
    script.write_text(train + code)
    started = {}
    for rank in ranks:
        variables = {
            "RANK": rank,
            "LOCAL_RANK": rank % per_host,
            "WORLD_SIZE": size,
            "LOCAL_WORLD_SIZE": per_host,
            "TORCHELASTIC_RUN_ID": "none" if per_host == size else "9b1c",
            "TORCHELASTIC_RESTART_COUNT": restart,
        }
        told: Mapping[str, str] = {name: str(value) for name, value in variables.items()}
        env = {**without_settings(os.environ), **told}
        if captures:
            del env["RUNLORE_CAPTURE"]
        started[rank] = subprocess.Popen([sys.executable, script], cwd=folder, env=env)
    return {rank: process.wait(LIMIT_S) for rank, process in started.items()}


def only_run(workspace: Workspace) -> Run:
    (run,) = workspace.experiments["e"].get_runs()
    return run


def test_four_ranks_execute_one_run(project: Path) -> None:
    assert torchrun(project, TOGETHER) == {0: 0, 1: 0, 2: 0, 3: 0}
    with Workspace.open("lab") as ws:
        run = only_run(ws)
        assert run.get_status() == "Completed"
        assert sorted(run.get_metrics()["loss"]) == [0.0, 1.0, 2.0, 3.0]
        assert (run.get_config(), run.display_name) == ({"rank": 0}, "of rank 0")


@pytest.mark.parametrize("way", ["with run:\n    pass", "run.complete()"], ids=["with", "complete"])
def test_a_rank_that_is_done_ends_only_its_part(project: Path, way: str) -> None:
    code = f"""
{TOGETHER}
if rank:
    {way.replace(chr(10), chr(10) + "    ")}
    open(f"done-{{rank}}", "w").close()
else:
    while len([name for name in os.listdir() if name.startswith("done-")]) < 3:
        time.sleep(0.01)
    assert run.get_status() == "Running"
"""
    assert set(torchrun(project, code).values()) == {0}
    with Workspace.open("lab") as ws:
        assert only_run(ws).get_status() == "Completed"


@pytest.mark.parametrize(
    ("death", "message"),
    [("raise ValueError('out of memory')", "ValueError: out of memory"), ("os._exit(1)", "lost")],
    ids=["an exception", "a kill"],
)
def test_a_rank_that_fails_fails_the_run(project: Path, death: str, message: str) -> None:
    codes = torchrun(project, f"{TOGETHER}\nif rank == 2:\n    {death}\ntime.sleep(0.5)")
    assert codes == {0: 0, 1: 0, 2: 1, 3: 0}
    with Workspace.open("lab") as ws:
        run = only_run(ws)
        assert run.get_status() == "Failed"
        assert message in run.get_details()["error"]["error"]["message"]


def test_a_restarted_job_goes_on_with_its_run(project: Path) -> None:
    torchrun(project, f"{TOGETHER}\nif rank == 1:\n    sys.exit(1)")
    for came in project.glob("came-*"):
        came.unlink()
    torchrun(project, TOGETHER, restart=1)
    with Workspace.open("lab") as ws:
        run = only_run(ws)
        assert run.get_status() == "Completed"
        assert len(run.get_metrics()["of_0"]) == 2
        ends = [change.new for change in run.history() if change.what == "failed"]
        assert len(ends) == 1


def test_the_second_run_of_a_job_is_another_one(project: Path) -> None:
    code = f"""
{TOGETHER}
run.complete()
second = runlore.init("e", workspace="lab")
second.log("second", float(rank))
assert second.id != run.id
"""
    assert set(torchrun(project, code).values()) == {0}
    with Workspace.open("lab") as ws:
        newest, oldest = ws.experiments["e"].get_runs()
        assert sorted(newest.get_metrics()["second"]) == [0.0, 1.0, 2.0, 3.0]
        assert {newest.get_status(), oldest.get_status()} == {"Completed"}


def test_a_rank_that_comes_late_joins_the_run_that_the_others_ended(project: Path) -> None:
    torchrun(project, "", ranks=[0, 1, 2])
    torchrun(project, "", ranks=[3])
    with Workspace.open("lab") as ws:
        run = only_run(ws)
        assert run.get_status() == "Completed"
        assert sorted(run.get_metrics()["loss"]) == [0.0, 1.0, 2.0, 3.0]


def test_ranks_can_be_runs_of_their_own(project: Path) -> None:
    code = 'run.tag("own")'
    (project / "train.py").write_text(TRAIN + code)
    told = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "RUNLORE_RANKS": "off"}
    for _ in range(2):
        env = {**without_settings(os.environ), **told}
        subprocess.run([sys.executable, "train.py"], cwd=project, env=env, check=True)
    with Workspace.open("lab") as ws:
        assert len(list(ws.experiments["e"].get_runs())) == 2


def test_one_rank_of_each_host_samples_the_system(project: Path) -> None:
    code = f"""
{TOGETHER}
from runlore.workspace import session_of
samples = session_of(run.experiment.workspace).samples
assert bool(samples.followed) == (rank in (0, 2))
samples._end_thread()
for _ in range(2):  # The first time is the beginning of rates.
    samples.sample_all()
"""
    assert set(torchrun(project, code, per_host=2, captures=True).values()) == {0}
    with Workspace.open("lab") as ws:
        found = only_run(ws).get_system_metrics()
    assert {"memory_percent", f"{os.uname().nodename}/memory_percent"} <= found.keys()


def test_ranks_sample_nothing_if_the_system_is_not_captured(project: Path) -> None:
    code = f"""
{TOGETHER}
from runlore.workspace import session_of
assert not session_of(run.experiment.workspace).samples.followed
"""
    train = TRAIN.replace("config=", "capture={'system': False}, config=")
    assert set(torchrun(project, code, train=train, captures=True).values()) == {0}
