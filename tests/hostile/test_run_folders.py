"""Strangers' folders of runs and pools: what is overwritten, taken, removed or ended."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import ComputeTarget, Experiment, Workspace
from runlore.compute_target import _stream
from runlore.domain.compute_target import AttachTarget
from runlore.domain.errors import RunloreError
from runlore.domain.status import TERMINAL
from runlore.engine.streams import change_target
from runlore.execution.handover import Orders
from runlore.storage.held_folder import FolderMoved
from runlore.testing.submitted import (
    READY,
    STAYS,
    Project,
    folder_of,
    supervisors_of,
    wait_until_ready,
)
from runlore.workspace import session_of
from tests.hostile.users import FIRST_USER, GROUP
from tests.processes import wait_until

pytestmark = [pytest.mark.long, pytest.mark.processes]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A pool with one slot."""
    project = Project(tmp_path / "origin", "pool")
    ComputeTarget.attach(project.ws, "pool", slots=1, grace_s=0.2)
    yield project
    for run in project.exp.get_runs():
        if run.get_status() not in TERMINAL:
            run.cancel()
    project.ws.close()


# --- C3: locks, slots and hints that lead elsewhere -----------------------------------------------


def poisoned(kind: str, path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(target)
    elif kind == "hard link":
        os.link(target, path)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
@pytest.mark.parametrize(
    "name",
    [
        "runs/any-run/supervisor.lock",
        "runs/any-run/leash.lock",
        "pools/pool/slot-0",
        "pools/pool/watch-0",
        "pools/pool/queue/00000000000000000001-any-run",
    ],
)
def test_what_lies_in_the_place_of_a_lock_is_left_alone(
    project: Project, tmp_path: Path, kind: str, name: str
) -> None:
    target = tmp_path / "bashrc"
    target.write_text("export EDITOR=vi\n")
    here = Path(project.ws.path or "")
    poisoned(kind, here / name, target)
    run = project.exp.start_logging(outputs=False, snapshot_directory=None, run_id="any-run")

    with Workspace.open(here) as again:
        list(Experiment(again, "explore-runs").get_runs())
        again.sql("SELECT 1")
        session_of(again).writable().look_after(at_once=True)
        assert again.get_run("any-run").get_status() == "Running"

    run.complete()
    assert target.read_text() == "export EDITOR=vi\n"
    assert os.stat(target).st_mode & 0o777 == 0o644


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
def test_a_slot_that_is_no_file_fails_the_submission_and_says_which(
    project: Project, tmp_path: Path, kind: str
) -> None:
    target = tmp_path / "bashrc"
    target.write_text("export EDITOR=vi\n")
    poisoned(kind, Path(project.ws.path or "") / "pools/pool/slot-0", target)

    with pytest.raises(RunloreError, match="slot-0"):
        project.submit("pass")

    assert target.read_text() == "export EDITOR=vi\n"


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
def test_a_watch_that_is_no_file_leaves_runs_in_the_queue(
    project: Project, tmp_path: Path, kind: str
) -> None:
    target = tmp_path / "bashrc"
    target.write_text("export EDITOR=vi\n")
    blocker = project.submit(STAYS)
    poisoned(kind, Path(project.ws.path or "") / f"pools/pool/watch-{os.geteuid()}", target)

    queued = project.submit("pass", name="other.py")

    assert queued.get_status() == "Queued"
    assert target.read_text() == "export EDITOR=vi\n"
    blocker.cancel()
    queued.wait_for_completion()


@pytest.mark.parametrize("linked", ["runs", "pools", "runs/any-run", "pools/pool", "queue"])
def test_nothing_is_made_or_removed_below_a_linked_folder(
    project: Project, tmp_path: Path, linked: str
) -> None:
    outside = tmp_path / "photos"
    (outside / "source").mkdir(parents=True)
    (outside / "00000000000000000001-x").touch()
    (outside / ".gone-0123").mkdir()
    (outside / ".gone-0123" / "photo").touch()
    before = sorted(map(str, outside.rglob("*")))
    here = Path(project.ws.path or "")
    place = here / ("pools/pool/queue" if linked == "queue" else linked)
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(outside)

    with Workspace.open(here) as again:
        list(Experiment(again, "explore-runs").get_runs())
        session_of(again).writable().look_after(at_once=True)
    if linked != "runs/any-run":
        with pytest.raises(RunloreError, match="symbolic link|not a folder"):
            project.submit("pass")
        place.unlink()

    assert sorted(map(str, outside.rglob("*"))) == before


def test_a_submission_below_a_linked_run_folder_is_refused(
    project: Project, tmp_path: Path
) -> None:
    outside = tmp_path / "photos"
    outside.mkdir()
    here = Path(project.ws.path or "")
    (here / "runs").mkdir()
    (here / "runs" / "mine").symlink_to(outside)

    with pytest.raises(RunloreError, match="symbolic link|not a folder"):
        project.exp.submit(project.config("pass"), run_id="mine")

    assert list(outside.iterdir()) == []


def test_hints_and_holders_that_are_no_run_ids_are_passed_over(project: Project) -> None:
    queue = Path(project.ws.path or "") / "pools/pool/queue"
    queue.mkdir(parents=True)
    for name in ("0-..", "no hint", "1-../../x".replace("/", "%"), "2-", "-", "3-a b", "\udcff"):
        (queue / name).touch()
    (queue.parent / "slot-0").write_text("../../..")

    assert project.ended("pass").get_status() == "Completed"


def test_a_log_with_billions_of_slots_makes_no_files(project: Project) -> None:
    session = session_of(project.ws).writable()
    blocker = project.submit(STAYS)
    for slots in (10**12, "many", None, -1, True):
        command = AttachTarget("pool", "pool", {"slots": slots})
        change_target(session, _stream("pool"), command)
        session.look_after(at_once=True)
        assert len(list((Path(project.ws.path or "") / "pools/pool").iterdir())) < 5
    blocker.cancel()


# --- H1: files taken ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["outputs", "logs", "user_logs", "../../../home/.ssh", "/"])
def test_the_files_of_a_linked_folder_of_an_ended_run_are_not_kept(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    secret = tmp_path / "home" / ".ssh"
    secret.mkdir(parents=True)
    (secret / "id_ed25519").write_text("a private key")
    (secret / "id_ed25519").chmod(0o600)
    blocker = project.submit(STAYS)  # It begins: its own folders are not those of a stranger.
    watched = ["logs", name] if "/" in name else ["logs"]
    if "/" in name:
        monkeypatch.setattr(
            "runlore.execution.definitions._checked_folders", lambda _: tuple(watched)
        )
    queued = project.submit("pass", name="other.py")
    queued.cancel()
    folder = folder_of(queued)
    folder.make()
    folder.source.make_folder()
    if "/" not in name:
        place = folder.log_path(name).plain
        shutil.rmtree(place, ignore_errors=True)
        place.symlink_to(secret)

    with Workspace.open(project.ws.uri) as again:
        list(Experiment(again, "explore-runs").get_runs())
        assert again.get_run(queued.id).get_file_names() == []
    assert not folder.exists()
    assert [path.name for path in secret.iterdir()] == ["id_ed25519"]
    assert blocker.get_status() not in TERMINAL


# --- ending processes -----------------------------------------------------------------------------


def test_a_folder_in_the_place_of_another_ends_no_process_of_the_other(
    project: Project, tmp_path: Path
) -> None:
    """The run is alive in the folder that was moved; the new one says that it was lost."""
    run = project.submit(STAYS, compute_target="local")
    wait_until_ready(run)
    here = Path(project.ws.path or "")
    # By another process: closing a file of SQLite's would drop its locks here.
    subprocess.run(["cp", "-r", here, tmp_path / "copy"], check=True)
    for left in ("spools", "writers"):
        shutil.rmtree(tmp_path / "copy" / left, ignore_errors=True)
    script = [one for one in processes_with(run.id) if STAYS_MARK in one]
    assert script
    here.rename(tmp_path / "aside")
    (tmp_path / "copy").rename(here)

    with Workspace.open(here) as again:
        assert again.get_run(run.id).get_status() == "Failed"  # Lost here, as the lock says.

    assert [one for one in processes_with(run.id) if STAYS_MARK in one] == script
    here.rename(tmp_path / "copy")
    (tmp_path / "aside").rename(here)
    run.cancel()


STAYS_MARK = "train.py"


def processes_with(run_id: str) -> list[str]:
    """The command lines of living processes whose environment names the run."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if f"RUNLORE_RUN_ID={run_id}".encode() in (folder / "environ").read_bytes():
                words = (folder / "cmdline").read_bytes().decode()
                found.append(f"{folder.name} {words}")
        except OSError:
            continue
    return sorted(found)


def test_a_folder_of_another_user_in_the_place_of_a_runs_ends_nothing(project: Project) -> None:
    """A teammate may move folders: the one that says that nobody takes care is not ours."""
    run = project.submit(STAYS, compute_target="local")
    wait_until_ready(run)
    script = [one for one in processes_with(run.id) if STAYS_MARK in one]
    folder = folder_of(run).root.plain
    folder.rename(folder.with_name("aside"))
    folder.mkdir()
    (folder / "supervisor.lock").touch()
    os.chown(folder, FIRST_USER, GROUP)

    with Workspace.open(project.ws.uri) as again:
        list(Experiment(again, "explore-runs").get_runs())
        assert again.get_run(run.id).get_status() == "Running"

    assert [one for one in processes_with(run.id) if STAYS_MARK in one] == script
    shutil.rmtree(folder)
    folder.with_name("aside").rename(folder)
    run.cancel()


def test_a_script_that_ends_while_its_workspace_is_elsewhere_completes_there(
    project: Project, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    code = f"""
        import os, time
        print({READY!r}, flush=True)
        while not os.path.exists({str(gate)!r}):
            time.sleep(0.01)
        open("outputs/weights", "w").write("1.0")
    """
    run = project.submit(code, compute_target="local")
    wait_until_ready(run)
    here = Path(project.ws.path or "")
    here.rename(tmp_path / "moved")
    gate.touch()
    wait_until(lambda: not supervisors_of(run.id), "the supervisor to end")

    with Workspace.open(tmp_path / "moved") as moved:
        again = moved.get_run(run.id)
        assert again.get_status() == "Completed"
        wait_until(lambda: "outputs/weights" in again.get_file_names(), "its files to be kept")

    (tmp_path / "moved").rename(here)


def test_a_submission_to_a_folder_that_was_moved_is_refused(
    project: Project, tmp_path: Path
) -> None:
    here = Path(project.ws.path or "")
    here.rename(tmp_path / "moved")
    here.mkdir()

    with pytest.raises(FolderMoved):
        project.submit("pass")

    assert list(here.iterdir()) == []
    here.rmdir()
    (tmp_path / "moved").rename(here)
    assert list(project.exp.get_runs()) == []


def test_a_runs_folder_is_private_and_the_pool_is_not(project: Project) -> None:
    before = os.umask(0o002)
    try:
        run = project.submit(STAYS)
        queued = project.submit("pass", name="other.py")
    finally:
        os.umask(before)
    wait_until_ready(run)
    here = Path(project.ws.path or "")

    def mode(path: str) -> int:
        return os.stat(here / path).st_mode & 0o777

    assert mode(f"runs/{run.id}") == mode(f"runs/{queued.id}") == 0o700
    assert mode("runs") == mode("pools/pool") == mode("pools/pool/queue") == 0o775
    assert mode("pools/pool/slot-0") == 0o664
    for path in Orders(session_of(project.ws).require_held()).files(queued.id):
        assert os.stat(path).st_mode & 0o777 == 0o600
