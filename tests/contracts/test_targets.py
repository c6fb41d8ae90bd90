"""What every compute target must do: one suite, run on each kind of target.

A target of another package passes it with a fixture parameter of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import psutil
import pytest

from runlore import ComputeTarget, ScriptRun, Workspace
from runlore.exceptions import (
    ActivityFailedException,
    ComputeTargetException,
    ExperimentExecutionException,
)
from runlore.execution.cancellation import cancel_submitted
from runlore.execution.targets.local import LocalTarget
from runlore.run.run import handle_of
from tests.processes import wait_until
from tests.submitted import (
    STAYS,
    STUBBORN,
    WITH_GRANDCHILDREN,
    Project,
    is_alive,
    printed,
    statuses_of,
    supervisors_of,
    wait_for_status,
    wait_until_gone,
    wait_until_ready,
    without_ours,
)

pytestmark = pytest.mark.processes


@pytest.fixture(params=["local", "pool"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path, request.param)
    if request.param == "pool":
        ComputeTarget.attach(project.ws, "pool", slots=2, grace_s=0.5)
    yield project
    project.ws.close()


def test_a_script_that_ends_well_completes_its_run(project: Project) -> None:
    run = project.ended("print('hello')")

    queued = ["Queued", "Starting"] if project.target == "pool" else []
    assert statuses_of(run) == [
        *("NotStarted", *queued),
        *("Preparing", "Running", "Finalizing", "Completed"),
    ]
    assert printed(run) == "hello\n"
    assert run.get_details()["target"] == project.target
    assert isinstance(run, ScriptRun)
    wait_until(lambda: not project.folder_of(run).root.exists(), "its folder to be gone")


def test_an_exit_code_other_than_0_fails_the_run(project: Project) -> None:
    run = project.submit("raise SystemExit(3)")

    with pytest.raises(ActivityFailedException, match="exit code 3"):
        run.wait_for_completion()

    assert run.get_status() == "Failed"
    assert [one.exit_code for one in handle_of(run).state.exits] == [3]


def test_a_missing_script_is_refused_and_nothing_is_recorded(project: Project) -> None:
    config = project.config("")
    (project.source / "train.py").unlink()

    with pytest.raises(ExperimentExecutionException, match="script path doesn't exist"):
        project.exp.submit(config)

    assert list(project.exp.get_runs()) == []


def test_a_run_that_was_asked_to_stop_is_canceled(project: Project) -> None:
    run = project.submit(STAYS)
    wait_until_ready(run)

    run.cancel()

    assert run.get_status() == "Canceled"
    assert statuses_of(run)[-2:] == ["CancelRequested", "Canceled"]
    wait_until_gone(run)


def test_a_script_that_ends_well_on_term_is_canceled_all_the_same(project: Project) -> None:
    code = f"import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n{STAYS}"
    run = project.submit(code)
    wait_until_ready(run)

    run.cancel()

    assert run.get_status() == "Canceled"


def test_a_stubborn_script_is_killed_after_the_grace(tmp_path: Path) -> None:
    project = Project(tmp_path, "impatient")
    ComputeTarget.attach(project.ws, "impatient", slots=1, grace_s=0.2)
    run = project.submit(STUBBORN)
    wait_until_ready(run)

    run.cancel()
    wait_for_status(run, "Canceled")

    assert [one.signal for one in handle_of(run).state.exits] == ["SIGKILL"]
    wait_until_gone(run)


def test_cancel_returns_while_a_stubborn_script_still_has_its_grace(tmp_path: Path) -> None:
    project = Project(tmp_path, "patient")
    ComputeTarget.attach(project.ws, "patient", slots=1, grace_s=3600)
    run = project.submit(STUBBORN)
    wait_until_ready(run)

    cancel_submitted(handle_of(run), None, wait_s=0.2)

    assert run.get_status() == "CancelRequested"
    os.kill(next(psutil.process_iter()).pid, 0)
    for process in project.supervisor_of(run).children():
        if "supervisor" not in " ".join(process.cmdline()):
            process.kill()
    wait_for_status(run, "Canceled")


def test_grandchildren_end_with_a_canceled_run(project: Project) -> None:
    if project.target == "local":
        ComputeTarget.attach(project.ws, "impatient", slots=1, grace_s=0.3)
        project.target = "impatient"
    run = project.submit(WITH_GRANDCHILDREN)
    wait_until_ready(run)
    pids = [int(word) for word in printed(run).split()[:2]]
    assert all(map(is_alive, pids))

    run.cancel()
    wait_for_status(run, "Canceled")

    assert not any(map(is_alive, pids))


def test_a_run_that_takes_too_long_is_canceled_and_says_why(project: Project) -> None:
    config = project.config(STAYS)
    config.run_config.max_run_duration_seconds = 1
    run = project.exp.submit(config)

    run.wait_for_completion()

    assert run.get_status() == "Canceled"
    assert "max_run_duration_seconds=1" in run.get_details()["warnings"][0]["message"]


def test_a_run_goes_on_when_the_process_that_submitted_it_is_killed(project: Project) -> None:
    gate = project.source.parent / "gate"
    project.config(f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n")
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


_SUBMITTER = """
import sys, time
from runlore import Experiment, ScriptRunConfig, Workspace
uri, source, target = sys.argv[1:]
experiment = Experiment(Workspace.open(uri), "explore-runs")
print(experiment.submit(ScriptRunConfig(source, "train.py", compute_target=target)).id, flush=True)
time.sleep(600)
"""


def test_a_run_whose_supervisor_is_killed_is_lost_and_its_script_ends(project: Project) -> None:
    run = project.submit("print('before', flush=True)\n" + WITH_GRANDCHILDREN)
    wait_until_ready(run)
    pids = [int(word) for word in printed(run).split()[1:3]]
    [supervisor, *_] = supervisors_of(run.id) or [project.supervisor_of(run)]

    supervisor.kill()

    wait_for_status(run, "Failed")
    assert run.get_details()["error"]["error"]["code"] == "RunLost"
    if project.target == "pool":
        wait_until_gone(run, pids)
        wait_until(lambda: bool(run.get_file_names()) or bool(run.get_tags()) or _look(run), "log")
        assert printed(run).startswith("before\n")
    else:
        for pid in pids:  # Its grace of 10 s is not waited for here.
            os.kill(pid, signal.SIGKILL)
        wait_until_gone(run, pids)


def _look(run: ScriptRun) -> bool:
    list(run.experiment.get_runs())
    return "user_logs/std_log.txt" in run.get_file_names()


def test_a_child_submits_a_child(project: Project) -> None:
    (project.source / "child.py").write_text("print('I am the child')")
    run = project.ended(
        f"""
        from runlore import Run, ScriptRunConfig
        run = Run.get_context()
        child = run.submit_child(
            ScriptRunConfig(".", "child.py", compute_target={project.target!r}), tags={{"k": "v"}}
        )
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


def test_a_childs_supervisor_outlives_its_parents_run(project: Project) -> None:
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


def test_environment_variables_reach_the_script(
    project: Project, monkeypatch: pytest.MonkeyPatch
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


def test_10_mb_of_output_arrive_whole_and_in_order(project: Project) -> None:
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


def test_unicode_and_binary_output_are_kept_to_the_byte(project: Project) -> None:
    run = project.ended(
        r"""
        import sys
        sys.stdout.buffer.write("schätzung ☀\n".encode() + bytes(range(256)) + b"\xff\xfe no text")
        """
    )

    run.download_file("user_logs/std_log.txt", str(project.source / "copy"))
    kept = (project.source / "copy").read_bytes()
    assert kept == "schätzung ☀\n".encode() + bytes(range(256)) + b"\xff\xfe no text"
    assert "schätzung ☀" in printed(run)


def test_a_supervisor_in_another_process_than_the_reader_is_seen_alive(project: Project) -> None:
    run = project.submit(STAYS)
    wait_until_ready(run)

    with Workspace.open(project.ws.uri) as again:
        assert again.get_run(run.id).get_status() == "Running"

    run.cancel()


class TargetOfAnotherPackage(LocalTarget):
    """What an entry point of the group `runlore.targets` would name."""

    kind = "elsewhere"


def test_a_kind_of_target_may_come_with_another_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = EntryPoint("elsewhere", f"{__name__}:TargetOfAnotherPackage", "runlore.targets")
    monkeypatch.setattr(
        "runlore.execution.targets.target.entry_points", lambda group: EntryPoints([entry])
    )
    project = Project(tmp_path, "cloud")

    target = ComputeTarget.attach(project.ws, "cloud", type="elsewhere")
    run = project.ended("print('hello')")

    assert target.type == "elsewhere"
    assert (run.get_status(), printed(run)) == ("Completed", "hello\n")
    with pytest.raises(ComputeTargetException, match="there are: local, pool, elsewhere"):
        ComputeTarget.attach(project.ws, "x", type="unknown")
