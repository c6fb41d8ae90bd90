"""Scripts that do what scripts should not, and people who end them from outside."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from runlore import ComputeTarget, Run, ScriptRun
from runlore.domain.errors import RunEnded, RunloreError
from runlore.domain.status import TERMINAL
from runlore.engine.runs import logs as run_logs
from runlore.engine.runs.logs import log_files, read_log
from runlore.execution.cancellation import cancel_submitted
from runlore.execution.processes import end_processes, processes_of
from runlore.run.run import handle_of
from runlore.testing.submitted import (
    READY,
    STAYS,
    STUBBORN,
    Project,
    folder_of,
    printed,
    statuses_of,
    supervisors_of,
    wait_for_status,
    wait_until_gone,
    wait_until_ready,
)
from tests.disks import Disk
from tests.fresh_python import WITHOUT_ROOTS_POWERS, run_python
from tests.processes import in_child, wait_until

pytestmark = [pytest.mark.long, pytest.mark.processes]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path / "here")
    yield project
    for run in project.exp.get_runs():
        if run.get_status() not in TERMINAL:
            run.cancel()
    project.ws.close()


def error_of(run: Run) -> dict[str, str]:
    error: dict[str, str] = run.get_details()["error"]["error"]
    return error


def kept(run: Run) -> list[str]:
    return sorted(run.get_file_names())


# --- ended from outside -------------------------------------------------------------------


def test_a_supervisor_that_is_told_to_end_ends_its_script_and_says_so(project: Project) -> None:
    run = project.submit(STAYS)
    wait_until_ready(run)

    supervisors_of(run.id)[0].terminate()

    wait_for_status(run, "Failed")
    assert error_of(run) == {
        "code": "SupervisorFailed",
        "message": "the supervisor was told to end (SIGTERM)",
    }
    assert printed(run) == f"{READY}\n"
    wait_until_gone(run)


def test_fail_from_outside_ends_the_script_and_stays(project: Project) -> None:
    run = project.submit(STAYS)
    wait_until_ready(run)

    run.fail("the loss is nan", error_code="Diverged")

    wait_until_gone(run)
    wait_until(lambda: not supervisors_of(run.id), "its supervisor to be gone")
    assert error_of(run)["code"] == "Diverged"
    assert statuses_of(run)[-2:] == ["Running", "Failed"]
    assert kept(run) == ["user_logs/std_log.txt"]
    assert not folder_of(run).root.exists()


def test_complete_from_outside_ends_the_script_and_stays(project: Project) -> None:
    run = project.submit(STAYS)
    wait_until_ready(run)

    run.complete()

    wait_until_gone(run)
    wait_until(lambda: not supervisors_of(run.id), "its supervisor to be gone")
    assert statuses_of(run)[-2:] == ["Running", "Completed"]
    assert not [change for change in run.history() if change.what == "change_refused"]


def test_a_run_that_is_ended_before_its_script_starts_never_executes_it(project: Project) -> None:
    ComputeTarget.attach(project.ws, "pool", slots=1, grace_s=0.3)
    blocker = project.submit(STAYS, compute_target="pool")
    run = project.submit("print('executed')", name="other.py", compute_target="pool")
    run.fail("not needed any more")
    blocker.cancel()
    project.submit("pass", compute_target="pool").wait_for_completion()

    assert run.get_status() == "Failed"
    assert printed(run) == ""
    assert not [change for change in run.history() if change.what == "change_refused"]


def test_a_complete_that_comes_after_cancel_is_refused_and_recorded(project: Project) -> None:
    run = project.submit(STAYS)
    wait_until_ready(run)
    run.cancel()

    with pytest.raises(RunEnded):
        project.ws.get_run(run.id).complete()

    assert run.get_status() == "Canceled"
    [refused] = [change for change in run.history() if change.what == "change_refused"]
    assert "Completed" in (refused.new or "")


def test_logs_can_be_read_just_when_the_run_ends(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the log was a moment ago there is nothing any more; it is in the store."""
    gate = project.source.parent / "gate"
    run = project.submit(GATED, gate)
    wait_until(lambda: printed(run) == "outcome\n", "its log")
    while_it_ran = log_files(handle_of(run))
    gate.touch()
    run.wait_for_completion()
    wait_until(lambda: not folder_of(run).root.exists(), "its folder to be gone")
    looks = iter([while_it_ran])
    monkeypatch.setattr(run_logs, "log_files", lambda run: next(looks, None) or log_files(run))

    assert read_log(handle_of(run), "user_logs/std_log.txt") == b"outcome\n"


def test_signals_that_the_submitter_ignores_or_blocks_are_not_the_scripts(
    project: Project,
) -> None:
    def submit(code: str) -> str:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
        return project.submit(code).id

    failing = project.ws.get_run(in_child(lambda: submit("raise SystemExit(3)")))
    failing.wait_for_completion(raise_on_error=False)
    staying = project.ws.get_run(in_child(lambda: submit(STAYS)))
    wait_until_ready(staying)
    staying.cancel()

    assert [one.exit_code for one in handle_of(failing).state.exits] == [3]
    assert staying.get_status() == "Canceled"
    assert [one.signal for one in handle_of(staying).state.exits] == ["SIGTERM"]


def test_a_script_that_somebody_stopped_is_ended_too(project: Project) -> None:
    ComputeTarget.attach(project.ws, "pool", slots=1, grace_s=0.2)
    run = project.submit(STAYS, compute_target="pool")
    wait_until_ready(run)
    for process in processes_of(folder_of(run)):
        process.suspend()

    run.cancel()

    wait_for_status(run, "Canceled")
    wait_until_gone(run)


def test_a_process_that_nothing_ends_is_not_waited_for_for_ever(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's, or one that waits for a dead disk; here its signals never arrive."""
    run = project.submit(STAYS)
    wait_until_ready(run)
    monkeypatch.setattr(psutil.Process, "send_signal", lambda *_: None)

    end_processes(folder_of(run), (), grace_s=0.1, killed_max_s=0.1)

    monkeypatch.undo()
    assert processes_of(folder_of(run))


def test_a_stubborn_script_is_killed_after_the_grace(project: Project) -> None:
    ComputeTarget.attach(project.ws, "impatient", slots=1, grace_s=0.2)
    run = project.submit(STUBBORN, compute_target="impatient")
    wait_until_ready(run)

    run.cancel()

    wait_for_status(run, "Canceled")
    assert [ended.signal for ended in handle_of(run).state.exits] == ["SIGKILL"]


def test_cancel_returns_while_a_stubborn_script_still_has_its_grace(project: Project) -> None:
    ComputeTarget.attach(project.ws, "patient", slots=1, grace_s=3600)
    run = project.submit(STUBBORN, compute_target="patient")
    wait_until_ready(run)

    cancel_submitted(handle_of(run), None, wait_s=0.2)

    assert run.get_status() == "CancelRequested"
    for process in processes_of(folder_of(run)):
        process.kill()
    wait_for_status(run, "Canceled")


def test_a_killed_script_is_told_apart_from_one_that_failed(project: Project) -> None:
    run = project.submit(STAYS)
    wait_until_ready(run)

    for process in processes_of(folder_of(run)):
        process.kill()

    run.wait_for_completion(raise_on_error=False)
    assert error_of(run)["code"] == "ProcessKilled"
    assert "SIGKILL" in error_of(run)["message"]


# --- memory, processes, descriptors -------------------------------------------------------


def test_a_script_without_memory_fails_with_its_traceback(project: Project) -> None:
    run = project.ended(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
        bytearray(2**30)
        """
    )

    assert error_of(run)["code"] == "UserError"
    assert error_of(run)["message"] == "User program failed with MemoryError"
    assert "bytearray(2**30)" in run.get_details()["error"]["error"]["debugInfo"]["stackTrace"]


def test_a_script_inherits_no_lock_and_no_slot(project: Project) -> None:
    ComputeTarget.attach(project.ws, "pool", slots=1)
    code = """
        import os
        for fd in sorted(map(int, os.listdir("/proc/self/fd"))):
            try:
                print(fd, os.readlink(f"/proc/self/fd/{fd}"))
            except OSError:
                pass  # The one that has just listed.
        """
    for target in ("local", "pool"):
        run = project.ended(code, compute_target=target)

        lines = printed(run).splitlines()
        assert [line.split()[0] for line in lines] == ["0", "1", "2"]
        assert lines[0] == "0 /dev/null"
        assert lines[1].endswith("std_log.txt")


def test_what_a_forked_child_prints_is_kept_too(project: Project) -> None:
    run = project.ended(
        """
        import os
        print("before", flush=True)
        pid = os.fork()
        # One write a line: print() writes the end of the line by itself.
        os.write(1, b"child\\n" if pid == 0 else b"parent\\n")
        if pid:
            os.waitpid(pid, 0)
        """
    )

    assert run.get_status() == "Completed"
    assert sorted(printed(run).split()) == ["before", "child", "parent"]


def is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_orphans_of_a_script_that_end_do_not_pile_up(project: Project) -> None:
    run = project.submit(
        """
        import subprocess
        for _ in range(20):
            subprocess.run(["sh", "-c", "true & true & true"])
        """
        + STAYS.replace("\n", "\n        ")
    )
    wait_until_ready(run)
    supervisor = supervisors_of(run.id)[0]

    wait_until(
        lambda: not any(is_zombie(child) for child in supervisor.children()),
        "no zombies",
    )

    assert run.get_status() == "Running"


def test_a_script_that_kills_its_supervisor_is_ended_and_its_run_lost(project: Project) -> None:
    ComputeTarget.attach(project.ws, "pool", slots=1, grace_s=0.2)
    code = f"import os, signal\nprint(os.getpid(), flush=True)\n{STUBBORN}".replace(
        "time.sleep(600)", "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(600)"
    )
    run = project.submit(code, compute_target="pool")

    wait_for_status(run, "Failed")
    assert error_of(run)["code"] == "RunLost"
    wait_until(lambda: READY in printed(run), "its log")
    wait_until_gone(run, [int(printed(run).split()[0])])


# --- files and folders --------------------------------------------------------------------


def test_a_script_that_takes_its_logs_away_fails_by_its_exit_code(project: Project) -> None:
    run = project.ended(
        """
        import shutil
        shutil.rmtree("../user_logs")
        raise SystemExit(3)
        """
    )

    assert error_of(run)["message"] == "the script ended with exit code 3; see its log"


def test_a_script_that_takes_its_working_folder_away_completes(project: Project) -> None:
    run = project.ended("import os, shutil; shutil.rmtree(os.getcwd()); print('gone')")

    assert run.get_status() == "Completed"
    assert kept(run) == ["user_logs/std_log.txt"]


def test_odd_files_among_the_outputs_cost_none_of_the_others(project: Project) -> None:
    run = project.ended(
        r"""
        import os, socket
        os.mkfifo("outputs/pipe")
        socket.socket(socket.AF_UNIX).bind("outputs/socket")
        os.symlink("nowhere", "outputs/dangling")
        os.symlink("..", "outputs/above")
        os.symlink("/etc/passwd", "outputs/passwd")
        open(b"outputs/not utf-8 \xff", "w").close()
        open("outputs/back\\slash", "w").close()
        open("outputs/new\nline", "w").close()
        open("outputs/fine", "w").write("fine")
        """
    )

    assert run.get_status() == "Completed", error_of(run)
    assert "outputs/fine" in kept(run)
    assert not {"outputs/pipe", "outputs/socket", "outputs/passwd"} & set(kept(run))
    assert any("utf-8" in one["message"].lower() for one in run.get_details()["warnings"])
    wait_until(lambda: not folder_of(run).root.exists(), "its folder to be gone")


def test_thousands_of_outputs_are_all_kept(project: Project) -> None:
    run = project.ended(
        """
        import os
        for folder in range(20):
            os.mkdir(f"outputs/{folder}")
            for file in range(100):
                with open(f"outputs/{folder}/{file}", "w") as output:
                    output.write(f"{folder}-{file}")
        """
    )

    assert run.get_status() == "Completed"
    assert len(kept(run)) == 2001


FORBIDDEN = """
import os
from runlore.storage.held_path import hold
from runlore.storage.run_folder import RunFolder
obey_file_modes()
folder = RunFolder(hold("."), "a-run")
folder.make()
source = folder.source.plain
(source / "deep" / "deeper").mkdir(parents=True)
(source / "deep" / "deeper" / "file").touch()
(source / "linked").symlink_to("/etc")
for below in ("deep/deeper", "deep", "."):
    os.chmod(source / below, 0)
os.chmod(folder.root.plain, 0)
folder.remove()
print(os.listdir("runs"))
"""


def test_a_folder_whose_permissions_a_script_took_away_can_be_removed(tmp_path: Path) -> None:
    assert run_python(WITHOUT_ROOTS_POWERS + FORBIDDEN, cwd=tmp_path) == "[]\n"


# --- full disks ---------------------------------------------------------------------------

GATED = """
import os, sys, time
print("outcome", flush=True)
with open("outputs/model", "w") as model:
    model.write("weights")
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
"""


def test_a_disk_that_is_full_when_the_script_ends_delays_the_end_and_loses_nothing(
    project: Project,
) -> None:
    gate = project.source.parent / "gate"
    run = project.submit(GATED, gate)
    wait_for_status(run, "Running")
    [supervisor, *_] = supervisors_of(run.id)
    _, hard = resource.prlimit(supervisor.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(supervisor.pid, resource.RLIMIT_FSIZE, (0, hard))

    gate.touch()
    wait_until(lambda: not processes_of(folder_of(run)), "the script to end")
    before = supervisor.num_ctx_switches().voluntary
    wait_until(lambda: supervisor.num_ctx_switches().voluntary > before + 4, "attempts to write")
    assert run.get_status() == "Running"
    resource.prlimit(supervisor.pid, resource.RLIMIT_FSIZE, (hard, hard))

    run.wait_for_completion()
    assert kept(run) == ["outputs/model", "user_logs/std_log.txt"]
    wait_until(lambda: not folder_of(run).root.exists(), "its folder to be gone")


def test_a_supervisor_killed_on_a_full_disk_leaves_the_files_to_the_next_reader(
    project: Project,
) -> None:
    gate = project.source.parent / "gate"
    run = project.submit(GATED, gate)
    wait_for_status(run, "Running")
    [supervisor, *_] = supervisors_of(run.id)
    _, hard = resource.prlimit(supervisor.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(supervisor.pid, resource.RLIMIT_FSIZE, (0, hard))
    gate.touch()
    wait_until(lambda: not processes_of(folder_of(run)), "the script to end")
    supervisor.kill()

    wait_for_status(run, "Failed")

    assert error_of(run)["code"] == "RunLost"
    wait_until(lambda: "outputs/model" in looked(run), "its files to be kept")


def looked(run: ScriptRun) -> list[str]:
    list(run.experiment.get_runs())
    return kept(run)


def test_a_submission_on_a_full_disk_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    try:
        project = Project(disk.folder / "here")
        config = project.config("print('fits')")
        project.exp.submit(config).wait_for_completion()
        (project.source / "data").write_bytes(os.urandom(100_000))
        disk.fill()

        with pytest.raises((RunloreError, OSError)):
            project.exp.submit(config)

        disk.free()
        assert len(list(project.exp.get_runs())) == 1
        folder = project.ws.path
        assert folder is not None
        wait_until(lambda: not list((folder / "runs").iterdir()), "no folder to be left")
        project.exp.submit(config).wait_for_completion()
        project.ws.close()
    finally:
        disk.close()


# --- values that nobody flushed -----------------------------------------------------------


KILLS_ITSELF = """
import os, signal
from runlore import Run
run = Run.get_context()
for step in range(1_000):
    run.log("loss", float(step))
run.log("text", "the last words")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_script_that_is_killed_loses_no_value_and_its_end_comes_behind_them(
    project: Project,
) -> None:
    run = project.ended(KILLS_ITSELF)

    assert run.get_status() == "Failed"
    assert run.get_metrics("loss") == {"loss": [float(step) for step in range(1_000)]}
    assert run.get_metrics("text") == {"text": "the last words"}
    late = project.ws.sql("SELECT count(*), bool_or(late) FROM metric_points").fetchall()
    assert late == [(1_001, False)]
