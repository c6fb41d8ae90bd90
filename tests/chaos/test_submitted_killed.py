"""kill -9 of what executes a submitted run: it ends, its processes too, and no value is lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from runlore import ComputeTarget, Run
from runlore.domain.status import TERMINAL
from runlore.exceptions import RunNotFound
from runlore.execution.processes import processes_of
from runlore.storage.held_path import hold
from runlore.storage.run_folder import RUNS, RunFolder
from runlore.testing.submitted import Project, without_ours
from tests.chaos.rounds import SUBMITTED
from tests.processes import wait_until

pytestmark = pytest.mark.long

_TRAINER = """
import os, signal, sys
from runlore import Run
acknowledged, steps, stubborn = sys.argv[1:]
if stubborn == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
run = Run.get_context()
with open("outputs/weights", "wb") as weights:
    weights.write(os.urandom(2_000_000))
with open(acknowledged, "a") as said:
    for step in range(int(steps)):
        run.log("loss", step)
        run.flush()
        said.write(f"{step}\\n")
        said.flush()
        os.fsync(said.fileno())
"""

_SUBMITTER = """
import sys, time
from runlore import Experiment, ScriptRunConfig, Workspace
uri, source, target, run_id, *arguments = sys.argv[1:]
experiment = Experiment(Workspace.open(uri), "explore-runs")
config = ScriptRunConfig(source, "train.py", arguments=arguments, compute_target=target)
print("submits", flush=True)
experiment.submit(config, run_id=run_id)
print("has submitted", flush=True)
time.sleep(600)
"""

MOMENTS = ("Preparing", "Running", "Finalizing", *(None,) * 5)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    ComputeTarget.attach(project.ws, "pool", slots=1, grace_s=0.2)
    (project.source / "train.py").write_text(_TRAINER)
    yield project
    project.ws.close()


class Round:
    """One run whose processes are killed, and what must hold afterwards."""

    def __init__(self, project: Project, rng: random.Random, number: int) -> None:
        self.project = project
        self.rng = rng
        self.run_id = f"round-{number}"
        self.target = rng.choice(["local", "pool"])
        stubborn = "stubborn" if self.target == "pool" and rng.random() < 0.5 else "obedient"
        self.acknowledged = project.source.parent / f"acknowledged-{number}"
        self.arguments = [str(self.acknowledged), str(rng.randrange(1, 60)), stubborn]
        self.folder = RunFolder(hold(project.source.parent / "lab"), self.run_id)

    def submit(self) -> None:
        config = self.project.config(_TRAINER, *self.arguments, compute_target=self.target)
        self.project.exp.submit(config, run_id=self.run_id)

    def submitter(self) -> subprocess.Popen[str]:
        words = [self.project.ws.uri, str(self.project.source), self.target, self.run_id]
        return subprocess.Popen(
            [sys.executable, "-c", _SUBMITTER, *words, *self.arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=without_ours(),
        )

    def wait_for_the_moment(self) -> None:
        """Until the run is in a phase, or any moment from its submission to after its end."""
        phase = self.rng.choice(MOMENTS)
        if phase is None:
            time.sleep(self.rng.uniform(0, 1.2))
        else:
            wait_until(lambda: self.status() in (phase, *TERMINAL), f"the run to be {phase}")

    def run(self) -> Run:
        return self.project.ws.get_run(self.run_id)

    def status(self) -> str:
        return self.run().get_status()

    def is_over(self) -> bool:
        """Read as anybody would: by a list that looks after what was killed."""
        list(self.project.exp.get_runs())
        try:
            return self.status() in TERMINAL
        except RunNotFound:
            return True  # Its submitter was killed before it was recorded.

    def assert_all_is_over(self) -> None:
        wait_until(self.is_over, f"{self.run_id} to be over")
        wait_until(lambda: not processes_of(self.folder), "its script to be gone")
        wait_until(lambda: not self.supervisors(), "its supervisor and leash to be gone")
        wait_until(self.has_no_folder, "its folder to be gone")
        try:
            run = self.run()
        except RunNotFound:
            assert not self.acknowledged.exists()
            return
        assert self.project.ws.sql(
            "SELECT status FROM runs WHERE run_id = ?", [self.run_id]
        ).fetchall() == [(run.get_status(),)]
        said = self.acknowledged.read_text().split() if self.acknowledged.exists() else []
        values = run.get_metrics("loss").get("loss", [])
        values = values if isinstance(values, list) else [values]
        assert values[: len(said)] == [int(step) for step in said]
        if run.get_status() == "Completed":
            assert "outputs/weights" in run.get_file_names()
            assert len(values) == int(self.arguments[1])

    def has_no_folder(self) -> bool:
        list(self.project.exp.get_runs())
        runs = self.folder.workspace / RUNS  # Not there if the first submitter was killed early.
        return not runs.exists() or not any(runs.names())

    def supervisors(self) -> list[psutil.Process]:
        """All processes that were started as supervisors in the workspace; their leashes too."""
        found = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                if "runlore.entry.supervisor" in words and self.project.ws.uri in words:
                    found.append(process)
            except psutil.Error:
                continue
        return found


def the_submitter(one: Round) -> None:
    process = one.submitter()
    assert process.stdout is not None
    assert process.stdout.readline() == "submits\n"
    time.sleep(one.rng.uniform(0, 0.15))
    process.kill()
    process.wait()
    process.stdout.close()


def the_supervisor(one: Round) -> None:
    one.submit()
    one.wait_for_the_moment()
    pids = {process.pid for process in one.supervisors()}
    _kill([one for one in one.supervisors() if _parent(one) not in pids])


def the_leash(one: Round) -> None:
    one.submit()
    one.wait_for_the_moment()
    pids = {process.pid for process in one.supervisors()}
    children = [process for process in one.supervisors() if _parent(process) in pids]
    # The first child only: a script between fork and exec still looks like its supervisor.
    _kill(sorted(children, key=lambda process: process.create_time())[:1])


def the_supervisor_and_its_leash(one: Round) -> None:
    one.submit()
    one.wait_for_the_moment()
    _kill(one.supervisors())


def the_script(one: Round) -> None:
    one.submit()
    one.wait_for_the_moment()
    _kill(processes_of(one.folder))


@pytest.mark.parametrize(
    "kill",
    [the_submitter, the_supervisor, the_leash, the_supervisor_and_its_leash, the_script],
    ids=lambda kill: kill.__name__,
)
def test_a_run_ends_and_loses_nothing_whoever_is_killed(
    project: Project, kill: Callable[[Round], None]
) -> None:
    rng = random.Random(kill.__name__)
    ends: dict[str, int] = {}
    for number in range(SUBMITTED):
        one = Round(project, rng, number)
        kill(one)
        one.assert_all_is_over()
        try:
            end = one.status()
        except RunNotFound:
            end = "never recorded"
        ends[end] = ends.get(end, 0) + 1
    sys.stdout.write(f"{kill.__name__}: {ends}\n")
    if kill is the_leash:
        assert set(ends) == {"Completed"}


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue


def _parent(process: psutil.Process) -> int:
    try:
        return int(process.ppid())
    except psutil.NoSuchProcess:
        return 0
