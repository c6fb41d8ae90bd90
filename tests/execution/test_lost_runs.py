"""Runs whose supervisor was killed or is on another machine: what readers see and do."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from runlore import ComputeTarget, Experiment, Run, Workspace
from runlore.domain.errors import AlreadyExists
from runlore.domain.status import TERMINAL
from runlore.engine.runs.handle import RunHandle
from runlore.execution.cancellation import cancel_submitted
from runlore.run.run import handle_of
from runlore.storage.file_lock import unlock
from runlore.storage.held_path import hold
from runlore.storage.open_log import locate
from runlore.storage.run_folder import RunFolder
from runlore.storage.this_process import boot_id
from runlore.testing.submitted import (
    STAYS,
    STUBBORN,
    Project,
    folder_of,
    is_alive,
    printed,
    statuses_of,
    supervisors_of,
    wait_for_status,
    wait_until_gone,
    wait_until_ready,
)
from runlore.workspace import session_of
from tests.fresh_python import WITHOUT_ROOTS_POWERS, run_python
from tests.processes import start_python, wait_until
from tests.workspaces import start

pytestmark = [pytest.mark.long, pytest.mark.processes]

PRINTS_ITS_PID = "import os; print(os.getpid(), flush=True)\n"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path / "here")
    yield project
    for run in project.exp.get_runs():
        if run.get_status() not in TERMINAL and handle_of(run).state.submitted:
            run.cancel()
    project.ws.close()


def kill(*processes: psutil.Process) -> None:
    for process in processes:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, timeout=30)


def killed(project: Project, code: str = STAYS) -> Run:
    """A run that executed until its supervisor was killed; nobody has looked since."""
    run = project.submit(code)
    wait_until_ready(run)
    kill(supervisors_of(run.id)[0])
    return run


def test_what_is_not_kept_of_a_lost_runs_outputs_is_told(project: Project, tmp_path: Path) -> None:
    run = killed(project)
    outputs = folder_of(run).source / "outputs"
    (outputs.plain / "kept.txt").write_text("kept")
    (outputs.plain / "elsewhere").symlink_to(tmp_path / "file")
    (outputs.plain / "missing").symlink_to("gone")

    with Workspace.open(project.ws.uri) as ws:
        wait_until(lambda: seen(ws, run.id), "a reader to clear up after the lost run")
        [warning] = ws.get_run(run.id).get_details()["warnings"]
        assert "outputs/kept.txt" in ws.get_run(run.id).get_file_names()

    assert "2 entries of 'outputs' were left out" in warning["message"]


def seen(ws: Workspace, run_id: str) -> bool:
    """Look at the runs; returns whether the run's folder is gone."""
    list(Experiment(ws, "explore-runs").get_runs())
    return not folder_of(ws.get_run(run_id)).root.exists()


READS: dict[str, Callable[[Workspace, str], object]] = {
    "get_status": lambda ws, run_id: ws.get_run(run_id).get_status(),
    "get_details": lambda ws, run_id: ws.get_run(run_id).get_details()["status"],
    "a list by status": lambda ws, run_id: [
        run.status
        for run in Run.list(Experiment(ws, "explore-runs"), status="Failed")
        if run.id == run_id
    ][0],
    "sql": lambda ws, run_id: ws.sql(
        "SELECT status FROM runs WHERE run_id = ?", [run_id]
    ).fetchall()[0][0],
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_the_next_read_shows_a_run_as_lost_whose_supervisor_was_killed(
    project: Project, read: Callable[[Workspace, str], object]
) -> None:
    run_id = killed(project).id
    uri = project.ws.uri

    with Workspace.open(uri) as ws:
        assert read(ws, run_id) == "Failed"
        assert statuses_of(ws.get_run(run_id))[-1] == "Failed"


def test_what_was_before_a_loss_shows_and_records_nothing_of_it(project: Project) -> None:
    run = killed(project)
    position = project.ws.position
    past = project.ws.as_of(position).get_run(run.id)

    def shown() -> list[object]:
        runs = Experiment(past.experiment.workspace, "explore-runs").get_runs()
        return [past.get_status(), past.get_details_with_logs()["logFiles"], list(runs)]

    assert shown() == ["Running", {}, [run]]
    assert project.ws.position == position
    wait_until(lambda: run.get_status() == "Failed", "a reader to look after the run again")
    assert shown() == ["Running", {}, [run]]


def test_opening_the_workspace_records_the_loss(project: Project) -> None:
    run = killed(project)

    Workspace.open(project.ws.uri).close()

    state = RunHandle(session_of(project.ws), run.id).refresh()
    assert state is not None
    assert state.error is not None
    assert state.error["code"] == "RunLost"


def test_a_run_that_was_to_be_canceled_is_canceled_when_its_supervisor_is_killed(
    project: Project,
) -> None:
    ComputeTarget.attach(project.ws, "patient", slots=1, grace_s=3600)
    project.target = "patient"
    run = project.submit(STUBBORN)
    wait_until_ready(run)
    cancel_submitted(handle_of(run), None, wait_s=0.0)
    assert run.get_status() == "CancelRequested"

    kill(*supervisors_of(run.id))

    wait_for_status(run, "Canceled")
    assert statuses_of(run)[-2:] == ["CancelRequested", "Canceled"]
    wait_until_gone(run)


def test_the_next_reader_ends_a_stubborn_script_whose_supervisor_and_leash_were_killed(
    project: Project,
) -> None:
    run = project.submit(PRINTS_ITS_PID + STUBBORN)
    wait_until_ready(run)
    pid = int(printed(run).split()[0])
    kill(*supervisors_of(run.id))
    assert is_alive(pid)

    Workspace.open(project.ws.uri).close()

    assert not is_alive(pid)
    assert not folder_of(run).root.exists()
    assert printed(run).split()[0] == str(pid)


READ_ONLY = """
import os, sys, warnings
import runlore
for folder, _, files in os.walk("lab"):
    for file in files:
        os.chmod(os.path.join(folder, file), 0o444)
    os.chmod(folder, 0o555)
obey_file_modes()
ws = runlore.Workspace.open("lab")
run = ws.get_run(os.environ["RUN_ID"])
print(run.get_status(), run.get_details()["error"]["error"]["code"])
print(len(list(ws.experiments["explore-runs"].get_runs())))
"""


def test_who_may_only_read_sees_the_loss_and_writes_nothing(project: Project) -> None:
    run_id = killed(project).id
    wait_until(lambda: not supervisors_of(run_id), "the leash to end")
    folder = project.ws.path
    assert folder is not None
    project.ws.close()

    printed = run_python(
        WITHOUT_ROOTS_POWERS + READ_ONLY + "import sys\n", cwd=folder.parent, RUN_ID=run_id
    )
    digest = digest_of(folder)
    again = run_python(WITHOUT_ROOTS_POWERS + READ_ONLY, cwd=folder.parent, RUN_ID=run_id)

    assert printed == again == "Failed RunLost\n1\n"
    assert digest_of(folder) == digest
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    project.ws = Workspace.open(folder)
    project.exp = Experiment(project.ws, "explore-runs")
    assert "lost" in [change.what for change in project.ws.get_run(run_id).history()]


def digest_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def look_like(run: Run, host: str, boot: str, *, age_s: float) -> Path:
    """Puts a lock that nobody here holds in the place of the run's; returns where that is now."""
    lock = folder_of(run).root.plain / "supervisor.lock"
    real, fake = lock.with_name("real.lock"), lock.with_name("fake.lock")
    real.unlink(missing_ok=True)
    os.link(lock, real)
    fake.write_text(json.dumps([host, boot]))
    then = fake.stat().st_mtime - age_s
    os.utime(fake, (then, then))
    os.replace(fake, lock)
    return real


def test_a_run_on_another_machine_is_not_responding_until_its_supervisor_is_heard_again(
    project: Project,
) -> None:
    run = project.submit(STAYS)
    wait_until_ready(run)

    real = look_like(run, "elsewhere", "another boot", age_s=90)
    wait_until(lambda: "NotResponding" in statuses_of_newest(run), "NotResponding")
    os.replace(real, folder_of(run).root.plain / "supervisor.lock")

    wait_for_status(run, "Running")
    statuses = statuses_of(run)
    assert statuses[: statuses.index("NotResponding") + 2] == [
        *("NotStarted", "Preparing", "Running", "NotResponding", "Running"),
    ]
    assert (
        "nothing was heard of its supervisor on elsewhere"
        in project.ws.sql(
            "SELECT status_detail FROM status_history WHERE status = 'NotResponding'"
        ).fetchall()[0][0]
    )


def statuses_of_newest(run: Run) -> list[str]:
    run.get_status()
    return statuses_of(run)


def test_a_run_on_another_machine_that_was_heard_just_now_is_running(project: Project) -> None:
    run = project.submit(STAYS)
    wait_until_ready(run)

    real = look_like(run, "elsewhere", "another boot", age_s=0)
    with Workspace.open(project.ws.uri) as ws:
        assert ws.get_run(run.id).get_status() == "Running"

    os.replace(real, folder_of(run).root.plain / "supervisor.lock")


def test_a_run_of_before_this_machine_was_restarted_is_lost(project: Project) -> None:
    run = project.submit(STAYS)
    wait_until_ready(run)
    kill(*supervisors_of(run.id))
    lock = folder_of(run).root.plain / "supervisor.lock"
    lock.write_text(json.dumps([socket.gethostname(), "an earlier start"]))

    wait_for_status(run, "Failed")

    assert run.get_details()["error"]["error"]["code"] == "RunLost"


def test_a_run_of_a_container_on_this_machine_that_was_killed_is_lost(project: Project) -> None:
    run = project.submit(STAYS)
    wait_until_ready(run)
    kill(*supervisors_of(run.id))
    lock = folder_of(run).root.plain / "supervisor.lock"
    lock.write_text(json.dumps(["container-4711", boot_id()]))

    wait_for_status(run, "Failed")


def test_what_else_lies_among_the_run_folders_breaks_no_read(project: Project) -> None:
    run = killed(project)
    folder = project.ws.path
    assert folder is not None
    runs = folder / "runs"
    (runs / "not a run's id!").mkdir()
    (runs / "a file").write_text("no folder")
    (runs / "linked").symlink_to(project.source, target_is_directory=True)
    (runs / "dangling").symlink_to(runs / "nowhere")
    (runs / "locked-by-a-folder" / "supervisor.lock").mkdir(parents=True)
    (runs / "my-notes").mkdir()
    (runs / "my-notes" / "note.txt").write_text("mine")
    (runs / "no-owner").mkdir()
    (runs / "no-owner" / "supervisor.lock").write_bytes(b"\xff\0{")
    theirs = [runs / f"theirs-{number}" for number in range(20)]
    for other in theirs:
        other.mkdir()
        if os.geteuid() == 0:  # Else they look like what a killed submitter has left.
            os.chown(other, 12_345, -1)

    with Workspace.open(project.ws.uri) as ws:
        assert ws.get_run(run.id).get_status() == "Failed"
        assert [one.id for one in ws.experiments["explore-runs"].get_runs()] == [run.id]

    assert (runs / "my-notes" / "note.txt").read_text() == "mine"
    assert all(other.exists() == (os.geteuid() == 0) for other in theirs)
    assert list(project.source.iterdir()) != []


def test_what_a_killed_process_had_moved_aside_is_taken_away(project: Project) -> None:
    run = killed(project)
    wait_until(lambda: not supervisors_of(run.id), "the leash to end")
    wait_for_status(run, "Failed")
    aside = folder_of(run).root.plain.with_name(".gone-0123456789abcdef")
    (aside / "source").mkdir(parents=True)

    Workspace.open(project.ws.uri).close()

    assert not aside.exists()


def test_a_run_whose_folder_was_taken_away_is_lost_and_its_script_ends(project: Project) -> None:
    run = project.submit(PRINTS_ITS_PID + STAYS)
    wait_until_ready(run)
    pid = int(printed(run).split()[0])

    folder_of(run).remove()

    wait_for_status(run, "Failed")
    error = run.get_details()["error"]["error"]
    assert error["code"] == "RunLost"
    assert "its folder" in error["message"]
    wait_until_gone(run, [pid])


def test_an_interactive_run_is_never_taken_for_a_lost_one(project: Project) -> None:
    run = start(project.exp, run_id="taken")

    with pytest.raises(AlreadyExists, match="run id 'taken' is taken"):
        project.exp.submit(project.config("pass"), run_id="taken")
    folder_of(run).make()
    (folder_of(run).root.plain / "supervisor.lock").touch()

    with Workspace.open(project.ws.uri) as ws:
        assert ws.get_run("taken").get_status() == "Running"


def test_a_taken_id_leaves_the_run_that_has_it_alone(project: Project) -> None:
    ComputeTarget.attach(project.ws, "pool", slots=1, grace_s=0.3)
    blocker = project.submit(STAYS, compute_target="pool")
    config = project.config(
        "import os; print(os.environ['FROM'])",
        name="other.py",
        compute_target="pool",
        variables={"FROM": "the first"},
    )
    queued = project.exp.submit(config, run_id="taken")
    config.run_config.environment_variables["FROM"] = "the second"

    with pytest.raises(AlreadyExists):
        project.exp.submit(config, run_id="taken")

    blocker.cancel()
    queued.wait_for_completion()
    assert printed(queued) == "the first\n"


def test_what_a_submitter_killed_before_it_locked_has_left_is_taken_away(project: Project) -> None:
    folder = RunFolder(hold(folder_of_workspace(project)), "fresh")
    folder.make()

    Workspace.open(project.ws.uri).close()

    assert not folder.root.exists()


_READS_ON_AND_ON = """
import sys
from runlore import Workspace
from runlore.execution.caretaker import look_after
from runlore.workspace import session_of
session = session_of(Workspace.open(sys.argv[1])).writable()
print("reads", flush=True)
while True:
    look_after(session)
"""


def test_a_folder_is_locked_and_whole_however_many_readers_look_meanwhile(
    project: Project,
) -> None:
    """Between making and locking, readers take it for what a killed submitter has left."""
    readers = [start_python(_READS_ON_AND_ON, project.ws.uri) for _ in range(2)]
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "reads\n"
        for number in range(200):
            folder = RunFolder(hold(folder_of_workspace(project)), f"fresh-{number}")
            lock_fd = folder.make_and_lock()
            assert lock_fd is not None
            assert folder.is_locked()
            assert folder.user_logs.is_folder()
            assert folder.system_logs.is_folder()
            folder.remove()
            unlock(lock_fd)
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()


def test_a_run_of_the_same_id_in_another_workspace_goes_on(
    project: Project, tmp_path: Path
) -> None:
    other = Project(tmp_path / "there")
    ours = project.exp.submit(project.config(STAYS), run_id="same")
    theirs = other.exp.submit(other.config(PRINTS_ITS_PID + STAYS), run_id="same")
    wait_until_ready(ours)
    wait_until_ready(theirs)

    ours.cancel()

    assert ours.get_status() == "Canceled"
    assert theirs.get_status() == "Running"
    assert is_alive(int(printed(theirs).split()[0]))
    theirs.cancel()
    other.ws.close()


def folder_of_workspace(project: Project) -> Path:
    assert project.ws.path is not None
    return project.ws.path


def test_a_supervisor_that_starts_after_its_workspace_was_removed_makes_nothing(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()

    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "runlore.entry.supervisor",
            locate(folder).uri,
            str(folder),
            "run",
            "0",
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 1
    assert "no workspace in" in ran.stderr
    assert list(folder.iterdir()) == []
