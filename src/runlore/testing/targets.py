"""The contract suite of compute targets, for targets of any package.

A test module subclasses `TargetContract` and attaches its target to the suite's workspace:

    class TestMyTarget(TargetContract):
        grace_s = 0.5

        def attach(self, workspace: Workspace) -> str:
            ComputeTarget.attach(workspace, "mine", type="my-kind", grace_s=0.5)
            return "mine"

The suite submits real scripts, so it needs a target that executes them on this machine: it looks at
processes and kills some.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from runlore import Run, ScriptRun, Workspace
from runlore.domain.status import TERMINAL
from runlore.exceptions import ActivityFailedException, ExperimentExecutionException
from runlore.execution.targets.kinds import target_of
from runlore.testing.submitted import (
    STAYS,
    STUBBORN,
    WITH_GRANDCHILDREN,
    Project,
    folder_of,
    is_alive,
    printed,
    statuses_of,
    supervisors_of,
    wait_for_status,
    wait_until_gone,
    wait_until_ready,
    without_ours,
)
from runlore.testing.waiting import wait_until
from runlore.workspace import session_of

_LONGEST_GRACE_S = 2.0

_SUBMITTER = """
import sys, time
from runlore import Experiment, ScriptRunConfig, Workspace
uri, source, target = sys.argv[1:]
experiment = Experiment(Workspace.open(uri), "explore-runs")
print(experiment.submit(ScriptRunConfig(source, "train.py", compute_target=target)).id, flush=True)
time.sleep(600)
"""


class TargetContract:
    """Tests that every compute target must pass. Override `attach`, and the attributes that differ.

    `waits_in_a_queue` says that runs are Queued before they start; `grace_s` is the time between
    TERM and KILL. Tests that wait for KILL are skipped if it is longer than 2 s.
    """

    waits_in_a_queue: ClassVar[bool] = False
    grace_s: ClassVar[float] = 10.0

    @abstractmethod
    def attach(self, workspace: Workspace) -> str:
        """Attach the target to the workspace, and return its name there."""

    @pytest.fixture
    def project(self, tmp_path: Path) -> Iterator[Project]:
        """A workspace with the target, an experiment, and a folder for scripts."""
        project = Project(tmp_path)
        project.target = self.attach(project.ws)
        yield project
        for run in project.exp.get_runs(include_children=True):
            if run.get_status() not in TERMINAL:
                run.cancel()
        project.ws.close()

    def kill_supervisor(self, run: Run) -> None:
        """Kill the process that executes the run, and nothing else."""
        supervisors_of(run.id)[0].kill()

    def is_alive(self, run: Run) -> bool | None:
        """The target's own answer to whether a supervisor takes care of the run."""
        session = session_of(run.experiment.workspace).writable()
        target: str = run.get_details()["target"]
        return target_of(session, target).is_alive(run.id)

    # --- how a run ends -----------------------------------------------------------------------

    def test_a_script_that_ends_well_completes_its_run(self, project: Project) -> None:
        run = project.ended("print('hello')")

        queued = ["Queued", "Starting"] if self.waits_in_a_queue else []
        assert statuses_of(run) == [
            *("NotStarted", *queued),
            *("Preparing", "Running", "Finalizing", "Completed"),
        ]
        assert printed(run) == "hello\n"
        assert run.get_details()["target"] == project.target
        assert isinstance(run, ScriptRun)
        wait_until(lambda: not folder_of(run).root.exists(), "its folder to be gone")

    def test_an_exit_code_other_than_0_fails_the_run(self, project: Project) -> None:
        run = project.submit("raise SystemExit(3)")

        with pytest.raises(ActivityFailedException, match="exit code 3"):
            run.wait_for_completion()

        assert run.get_status() == "Failed"
        assert "exit code 3" in run.get_details()["error"]["error"]["message"]

    def test_a_missing_script_is_refused_and_nothing_is_recorded(self, project: Project) -> None:
        config = project.config("")
        (project.source / "train.py").unlink()

        with pytest.raises(ExperimentExecutionException, match="script path doesn't exist"):
            project.exp.submit(config)

        assert list(project.exp.get_runs()) == []

    def test_a_run_that_was_asked_to_stop_is_canceled(self, project: Project) -> None:
        run = project.submit(STAYS)
        wait_until_ready(run)

        run.cancel()

        assert run.get_status() == "Canceled"
        assert statuses_of(run)[-2:] == ["CancelRequested", "Canceled"]
        wait_until_gone(run)

    def test_a_script_that_ends_well_on_term_is_canceled_all_the_same(
        self, project: Project
    ) -> None:
        code = f"import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n{STAYS}"
        run = project.submit(code)
        wait_until_ready(run)

        run.cancel()

        assert run.get_status() == "Canceled"

    def test_a_stubborn_script_is_killed_after_the_grace(self, project: Project) -> None:
        self._skip_if_the_grace_is_long()
        run = project.submit(STUBBORN)
        wait_until_ready(run)

        run.cancel()

        wait_for_status(run, "Canceled")
        wait_until_gone(run)

    def test_grandchildren_end_with_a_canceled_run(self, project: Project) -> None:
        self._skip_if_the_grace_is_long()
        run = project.submit(WITH_GRANDCHILDREN)
        wait_until_ready(run)
        pids = [int(word) for word in printed(run).split()[:2]]
        assert all(map(is_alive, pids))

        run.cancel()

        wait_for_status(run, "Canceled")
        assert not any(map(is_alive, pids))

    def test_a_run_that_takes_too_long_is_canceled_and_says_why(self, project: Project) -> None:
        config = project.config(STAYS)
        config.run_config.max_run_duration_seconds = 1
        run = project.exp.submit(config)

        run.wait_for_completion()

        assert run.get_status() == "Canceled"
        assert "max_run_duration_seconds=1" in run.get_details()["warnings"][0]["message"]

    # --- processes that are killed ------------------------------------------------------------

    def test_a_run_goes_on_when_the_process_that_submitted_it_is_killed(
        self, project: Project
    ) -> None:
        gate = project.source.parent / "gate"
        project.config(
            f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
        )
        submitter = subprocess.Popen(
            [sys.executable, "-c", _SUBMITTER, project.ws.uri, str(project.source), project.target],
            stdout=subprocess.PIPE,
            text=True,
            env=without_ours(),
        )
        assert submitter.stdout is not None
        run = project.ws.get_run(submitter.stdout.readline().strip())
        wait_for_status(run, "Running")
        submitter.send_signal(signal.SIGKILL)
        submitter.wait()
        submitter.stdout.close()

        gate.touch()
        run.wait_for_completion()

        assert run.get_status() == "Completed"

    def test_a_run_whose_supervisor_is_killed_is_lost_and_its_script_ends(
        self, project: Project
    ) -> None:
        run = project.submit("print('before', flush=True)\n" + WITH_GRANDCHILDREN)
        wait_until_ready(run)
        pids = [int(word) for word in printed(run).split()[1:3]]

        self.kill_supervisor(run)

        wait_for_status(run, "Failed")
        assert run.get_details()["error"]["error"]["code"] == "RunLost"
        if self.grace_s > _LONGEST_GRACE_S:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        wait_until_gone(run, pids)
        wait_until(lambda: _is_kept(run, "user_logs/std_log.txt"), "its log to be kept")
        assert printed(run).startswith("before\n")

    def test_the_target_says_whether_a_run_has_a_supervisor(self, project: Project) -> None:
        run = project.submit(STAYS)
        wait_until_ready(run)
        alive = self.is_alive(run)

        self.kill_supervisor(run)

        assert alive is True
        wait_until(lambda: self.is_alive(run) is False, "the target to notice the death")

    def test_an_unknown_run_has_no_supervisor(self, project: Project) -> None:
        target = target_of(session_of(project.ws).writable(), project.target)

        assert target.is_alive("never-submitted") is False

    def test_a_reader_in_another_process_sees_the_run_as_alive(self, project: Project) -> None:
        run = project.submit(STAYS)
        wait_until_ready(run)

        with Workspace.open(project.ws.uri) as again:
            own = again.get_run(run.id)  # The script may be there before its start is recorded.
            wait_until(lambda: own.get_status() == "Running", "the run to be seen as alive")

        run.cancel()

    # --- children -----------------------------------------------------------------------------

    def test_a_child_submits_a_child(self, project: Project) -> None:
        (project.source / "child.py").write_text("print('I am the child')")
        run = project.ended(
            f"""
            from runlore import Run, ScriptRunConfig
            run = Run.get_context()
            config = ScriptRunConfig(".", "child.py", compute_target={project.target!r})
            child = run.submit_child(config, tags={{"k": "v"}})
            child.wait_for_completion()
            print(child.id)
            """
        )

        [child] = run.get_children()
        assert run.get_status() == "Completed", printed(run)
        assert printed(run) == f"{child.id}\n"
        assert (child.get_status(), child.get_tags()) == ("Completed", {"k": "v"})
        assert printed(child) == "I am the child\n"
        assert child.parent == run

    def test_a_childs_supervisor_outlives_its_parents_run(self, project: Project) -> None:
        (project.source / "child.py").write_text(STAYS)
        run = project.ended(
            f"""
            from runlore import Run, ScriptRunConfig
            config = ScriptRunConfig(".", "child.py", compute_target={project.target!r})
            print(Run.get_context().submit_child(config).id)
            """
        )

        child = project.ws.get_run(printed(run).strip())
        wait_until_ready(child)
        child.cancel()
        assert child.get_status() == "Canceled"

    # --- environment and output ---------------------------------------------------------------

    def test_environment_variables_reach_the_script(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FROM_THE_SUBMITTER", "inherited")
        run = project.ended(
            """
            import os
            for name in ("FROM_THE_SUBMITTER", "FROM_THE_CONFIG", "RUNLORE_RUN_ID"):
                print(os.environ[name])
            """,
            variables={"FROM_THE_CONFIG": "set"},
        )

        assert printed(run).split() == ["inherited", "set", run.id]

    def test_10_mb_of_output_arrive_whole_and_in_order(self, project: Project) -> None:
        run = project.ended(
            """
            import sys
            for number in range(100_000):
                stream = sys.stderr if number % 10 == 0 else sys.stdout
                stream.write(f"{number:06d} {'x' * 92}\\n")
            """
        )

        lines = printed(run).splitlines()
        assert len(lines) == 100_000
        assert [int(line[:6]) for line in lines] == list(range(100_000))

    def test_unicode_and_binary_output_are_kept_to_the_byte(self, project: Project) -> None:
        run = project.ended(
            r"""
            import sys
            text = "schätzung ☀\n".encode()
            sys.stdout.buffer.write(text + bytes(range(256)) + b"\xff\xfe no text")
            """
        )

        run.download_file("user_logs/std_log.txt", str(project.source / "copy"))
        kept = (project.source / "copy").read_bytes()
        assert kept == "schätzung ☀\n".encode() + bytes(range(256)) + b"\xff\xfe no text"
        assert "schätzung ☀" in printed(run)

    def _skip_if_the_grace_is_long(self) -> None:
        if self.grace_s > _LONGEST_GRACE_S:
            pytest.skip(f"KILL follows TERM after {self.grace_s:g} s")


def _is_kept(run: Run, name: str) -> bool:
    list(run.experiment.get_runs())  # A reader keeps the files of lost runs.
    return name in run.get_file_names()
