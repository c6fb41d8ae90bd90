"""Queues of strangers and of teammates: what is started, as whom, and when."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from runlore import ComputeTarget, Experiment, Run, Workspace
from runlore.compute_target import _stream
from runlore.domain.compute_target import AttachTarget
from runlore.domain.errors import WorkspaceClosed
from runlore.domain.status import TERMINAL
from runlore.engine.streams import change_target
from runlore.exceptions import UserErrorException
from runlore.execution.handover import Orders
from runlore.execution.targets import kinds
from runlore.execution.targets.attached import attached
from runlore.testing.submitted import STAYS, Project, wait_until_ready
from runlore.workspace import session_of
from tests.cli.shell import runlore
from tests.hostile.users import User, group_of, output_of
from tests.processes import wait_until

pytestmark = [pytest.mark.long, pytest.mark.processes]

EVIL = """
import os, sys
with open(sys.argv[1], "a") as file:
    print(os.environ.get("VICTIM_TOKEN"), file=file)
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A pool with one slot."""
    project = Project(tmp_path / "origin", "pool")
    ComputeTarget.attach(project.ws, "pool", slots=1, grace_s=0.2)
    yield project
    with suppress(WorkspaceClosed):  # Some tests end all themselves.
        end_all(project)


def end_all(project: Project) -> None:
    for run in project.exp.get_runs():
        if run.get_status() not in TERMINAL:
            run.cancel()
    project.ws.close()


def copied_while_queued(project: Project, to: Path, proof: Path) -> Run:
    """A copy of the folder in which a script is queued and no process is alive."""
    blocker = project.submit(STAYS)
    wait_until_ready(blocker)
    queued = project.submit(EVIL, proof, name="evil.py")
    assert queued.get_status() == "Queued"
    # By another process: closing a file of SQLite's would drop its locks here.
    subprocess.run(["cp", "-r", project.ws.path or "", to], check=True)
    for left in ("spools", "writers"):  # What would show that it is a copy.
        shutil.rmtree(to / left, ignore_errors=True)
    return queued


# --- C1: reading starts nothing that this user did not submit here ------------------------------


def test_reading_a_copied_workspace_starts_nothing_and_says_why(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = tmp_path / "it ran"
    queued = copied_while_queued(project, tmp_path / "copy", proof)
    end_all(project)
    monkeypatch.setenv("VICTIM_TOKEN", "tok-123")

    with pytest.warns(UserWarning, match=f"run {queued.id} stays Queued: this user did not"):
        copy = Workspace.open(tmp_path / "copy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # It is said once.
        for _ in range(3):
            session_of(copy).writable().look_after(at_once=True)
        list(Experiment(copy, "explore-runs").get_runs())
        copy.sql("SELECT 1")
        run = copy.get_run(queued.id)

    assert run.get_status() == "Queued"
    assert not proof.exists()
    assert f"runlore run start -r {queued.id}" in (run.get_detailed_status()["details"] or "")
    assert f"runlore run start -r {queued.id}" in run.get_record()["queueing_info"]["message"]
    copy.close()


def test_a_folder_in_the_place_of_the_one_that_was_submitted_to_starts_nothing(
    project: Project, tmp_path: Path
) -> None:
    """The path and all ids are the same; the folder is another one."""
    proof = tmp_path / "it ran"
    here = Path(project.ws.path or "")
    copied_while_queued(project, tmp_path / "copy", proof)
    end_all(project)
    here.rename(tmp_path / "aside")
    (tmp_path / "copy").rename(here)

    with pytest.warns(UserWarning, match="stays Queued"):
        Workspace.open(here).close()

    assert not proof.exists()


def test_an_order_of_an_earlier_boot_or_another_digest_or_another_user_starts_nothing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = tmp_path / "it ran"
    blocker = project.submit(STAYS)
    queued = project.submit(EVIL, proof, name="evil.py")
    workspace = session_of(project.ws).require_held()
    orders = Orders(workspace)
    order = orders.of(queued.id)
    assert order is not None
    assert order.environment is not None

    def reasons() -> str:
        return queued.get_detailed_status()["details"] or ""

    assert orders.keep(queued.id, "another digest", order.environment)
    assert "in the log are not those that were submitted" in reasons()
    monkeypatch.setattr("runlore.execution.handover.boot_id", lambda: "an earlier boot")
    assert orders.keep(queued.id, order.digest, order.environment)
    monkeypatch.undo()
    assert "since its last start" in reasons()
    assert orders.keep(queued.id, order.digest, order.environment)
    for path in orders.files(queued.id):
        path.chmod(0o644)
    assert "since its last start" in reasons()
    blocker.cancel()
    with Workspace.open(project.ws.uri) as again:
        list(Experiment(again, "explore-runs").get_runs())

    assert queued.get_status() == "Queued"
    assert not proof.exists()


def test_a_log_that_was_changed_after_the_submission_executes_nothing_else(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor compares what it reads with what was ordered."""
    monkeypatch.setattr("runlore.execution.submission.digest_of", lambda *_: "of something else")
    proof = tmp_path / "it ran"

    run = project.ended(EVIL, proof, name="evil.py", compute_target="local")

    assert run.get_status() == "Failed"
    message = run.get_details()["error"]["error"]["message"]
    assert "in the log are not those that were submitted" in message
    assert not proof.exists()


def test_a_queue_goes_on_where_there_is_no_memory_disk(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runlore.execution.handover._is_memory", lambda place: False)
    blocker = project.submit(STAYS)
    queued = project.submit("print('started')", name="other.py")
    workspace = session_of(project.ws).require_held()
    order = Orders(workspace).of(queued.id)
    assert order is not None
    assert order.environment is None  # It may hold secrets, and the cache is on a disk.

    blocker.cancel()

    queued.wait_for_completion()
    assert list(Orders(workspace).files(queued.id)) == []


def test_the_environment_of_a_run_that_somebody_else_ended_is_removed(project: Project) -> None:
    blocker = project.submit(STAYS)
    queued = project.submit("pass", name="other.py")
    orders = Orders(session_of(project.ws).require_held())
    order = orders.of(queued.id)
    assert order is not None
    queued.cancel()
    assert orders.keep(queued.id, order.digest, {"TOKEN": "secret"})  # As if by another user.

    with Workspace.open(project.ws.uri):
        assert list(orders.files(queued.id)) == []
    assert blocker.get_status() not in TERMINAL


# --- targets of other packages --------------------------------------------------------------------


def test_reading_imports_no_target_that_only_a_log_names(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_of(project.ws).writable()
    asked: list[str] = []
    monkeypatch.setattr(kinds, "kind_of", asked.append)
    command = AttachTarget("far", "plug-in", {"host": "evil.example"})
    change_target(session, _stream("far"), command)

    session.look_after(at_once=True)
    assert kinds.used_target(session, attached(session)["far"]) is None
    assert set(asked) <= {"local", "pool"}
    kinds.note_use(session, "far")
    with pytest.raises(TypeError):  # It is asked for now: the test's kind is None.
        kinds.used_target(session, attached(session)["far"])
    assert asked[-1] == "plug-in"


# --- starting on purpose --------------------------------------------------------------------------


def test_a_run_that_reading_does_not_start_is_started_on_purpose_with_the_environment_of_now(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = tmp_path / "it ran"
    queued = copied_while_queued(project, tmp_path / "copy", proof)
    end_all(project)
    monkeypatch.setenv("VICTIM_TOKEN", "tok-123")
    with pytest.warns(UserWarning, match="stays Queued"):
        copy = Workspace.open(tmp_path / "copy")
    runs = list(Experiment(copy, "explore-runs").get_runs())
    blocker, run = sorted(runs, key=lambda run: run.id == queued.id)

    run.start_queued()

    run.wait_for_completion()
    assert proof.read_text() == "tok-123\n"
    with pytest.raises(UserErrorException, match="is Completed, not Queued"):
        run.start_queued()
    with pytest.raises(UserErrorException, match="not Queued"):
        blocker.start_queued()
    copy.close()


def test_the_command_shows_what_a_run_would_execute_and_asks(
    project: Project, tmp_path: Path
) -> None:
    proof = tmp_path / "it ran"
    queued = copied_while_queued(project, tmp_path / "copy", proof)
    end_all(project)
    words = ("run", "start", "-r", queued.id, "-w", str(tmp_path / "copy"))

    refused = runlore(*words, cwd=tmp_path, code=130)

    assert f"evil.py '{proof}'" in refused.err
    assert "Execute this as yourself?" in refused.err
    assert not proof.exists()
    runlore(*words, "--yes", cwd=tmp_path)
    wait_until(proof.exists, "the script to run")


# --- two users and one pool -----------------------------------------------------------------------

GATED = """
import os, sys, time
name, gate = sys.argv[1:]
while gate != "-" and not os.path.exists(gate):
    time.sleep(0.01)
with open(f"{os.path.dirname(os.environ['RUNLORE_WORKSPACE_URI'].removeprefix('sqlite://'))}/"
          f"said-{name}", "x") as file:
    print(os.getuid(), os.environ["WHO"], file=file)
"""
SUBMITS = """
source = os.path.join(os.path.expanduser("~"), "source")
os.makedirs(source, exist_ok=True)
with open(os.path.join(source, "train.py"), "w") as file:
    file.write(sys.argv[2])
ws = opened()
for name in sys.argv[4:]:
    config = ScriptRunConfig(
        source, "train.py", arguments=[name, sys.argv[3]], compute_target="pool"
    )
    Experiment(ws, "e").submit(config, run_id=name)
"""


@pytest.fixture
def users() -> Iterator[tuple[User, User]]:
    """Two users of a workspace in a folder of their group, with a pool of one slot."""
    with group_of(2) as (ann, bob):
        ann.runs(
            """
ws = Workspace.create("lab", path=os.path.join(shared, "lab"))
ComputeTarget.attach(ws, "pool", slots=1, grace_s=0.2)
ws.close()
"""
        )
        for path in (ann.shared / "lab").glob("log.sqlite*"):
            path.chmod(0o664)
        yield ann, bob
        ann.runs(
            """
from contextlib import suppress
from runlore.exceptions import RunEnded
for run in Experiment(opened(), "e").get_runs():
    with suppress(RunEnded):
        run.cancel()
"""
        )


def said(users: tuple[User, User], name: str) -> str:
    """What the script wrote; nobody reads the workspace in the meantime."""
    path = users[0].shared / f"said-{name}"
    wait_until(path.exists, f"{name} to execute")
    wait_until(lambda: path.read_text() != "", f"{name} to say who it is")
    return path.read_text()


def test_each_script_runs_as_its_submitter_in_the_order_of_submission(
    users: tuple[User, User],
) -> None:
    """All submitters have ended when the slot gets free, and nobody reads."""
    ann, bob = users
    gate = ann.shared / "gate"
    ann.runs(SUBMITS, GATED, gate, "a1", "a2")
    bob.runs(SUBMITS, GATED, "-", "b1", "b2")
    ann.runs(SUBMITS, GATED, "-", "a3")
    assert not list(ann.shared.glob("said-*"))

    gate.touch()

    for name in ("a1", "a2", "b1", "b2", "a3"):
        owner = ann if name.startswith("a") else bob
        assert said(users, name) == f"{owner.uid} {owner.uid}\n"
    wait_for_end = """
from runlore.testing.waiting import wait_until
ws = opened()
wait_until(
    lambda: all(run.get_status() == "Completed" for run in Experiment(ws, "e").get_runs()), "all"
)
rows = ws.sql(
    "SELECT run_id FROM status_history WHERE status = 'Starting' ORDER BY position"
).fetchall()
print(*[run_id for (run_id,) in rows])
print(len(os.listdir(os.path.join(shared, "lab", "runs"))))
"""
    for user in users:
        assert user.runs(wait_for_end) == "a1 a2 b1 b2 a3\n0\n"


def test_a_run_that_another_user_cancels_leaves_its_environment_until_its_owner_looks(
    users: tuple[User, User],
) -> None:
    ann, bob = users
    gate = ann.shared / "gate"
    orders = """
from runlore.execution.handover import Orders
print(len(list(Orders(session_of(opened()).require_held()).files("b1"))))
"""
    ann.runs(SUBMITS, GATED, gate, "a1")
    bob.runs(SUBMITS, GATED, "-", "b1")
    assert bob.runs(orders) > "0"

    ann.runs("opened().get_run('b1').cancel()")

    assert bob.runs(orders) == "0\n"
    assert "b1" not in os.listdir(ann.shared / "lab" / "runs")
    gate.touch()
    said(users, "a1")
    assert not (ann.shared / "said-b1").exists()


def test_another_users_run_says_whose_it_is(users: tuple[User, User]) -> None:
    ann, bob = users
    gate = ann.shared / "gate"
    ann.runs(SUBMITS, GATED, gate, "a1")
    bob.runs(SUBMITS, GATED, "-", "b1")

    details = ann.runs("print(opened().get_run('b1').get_detailed_status()['details'])")
    assert f"it is a run of user {bob.uid}, whose own processes start it" in details
    with pytest.raises(AssertionError, match=f"is of user {bob.uid}"):
        ann.runs("opened().get_run('b1').start_queued()")
    shows = bob.start("opened().get_run('a1').wait_for_completion(show_output=True)")
    assert shows.stdout is not None
    assert any(f"Run a1 executes as user {ann.uid}" in line for line in shows.stdout)
    gate.touch()
    output_of(shows)


def test_a_slot_that_its_next_user_does_not_take_goes_to_another(
    users: tuple[User, User],
) -> None:
    """Bob's run waits longer, but the process that would start it does not go on."""
    ann, bob = users
    gate = ann.shared / "gate"
    ann.runs(SUBMITS, GATED, gate, "a1")
    bob.runs(SUBMITS, GATED, "-", "b1")
    ann.runs(SUBMITS, GATED, "-", "a2")
    [watch] = [one for one in psutil.process_iter() if is_watch(one, ann.shared, bob.uid)]
    watch.suspend()
    gate.touch()

    assert said(users, "a2") == f"{ann.uid} {ann.uid}\n"
    assert not (ann.shared / "said-b1").exists()
    watch.resume()
    assert said(users, "b1") == f"{bob.uid} {bob.uid}\n"


def test_a_supervisor_sees_a_slot_that_another_user_gives_back(users: tuple[User, User]) -> None:
    """Nobody reads, and Bob's first run goes on."""
    ann, bob = users
    gates = [ann.shared / "gate-a", ann.shared / "gate-b"]
    ann.runs("ComputeTarget.attach(opened(), 'pool', slots=2, grace_s=0.2)")
    ann.runs(SUBMITS, GATED, gates[0], "a1")
    bob.runs(SUBMITS, GATED, gates[1], "b1")
    bob.runs(SUBMITS, GATED, "-", "b2")

    gates[0].touch()

    assert said(users, "b2") == f"{bob.uid} {bob.uid}\n"
    assert not (ann.shared / "said-b1").exists()
    gates[1].touch()
    said(users, "b1")


def test_a_run_whose_watch_was_killed_starts_when_its_user_reads_again(
    users: tuple[User, User],
) -> None:
    ann, bob = users
    gate = ann.shared / "gate"
    ann.runs(SUBMITS, GATED, gate, "a1")
    bob.runs(SUBMITS, GATED, "-", "b1")
    [watch] = [one for one in psutil.process_iter() if is_watch(one, ann.shared, bob.uid)]
    watch.kill()
    gate.touch()
    said(users, "a1")
    ann.runs("print(opened().get_run('b1').get_status())")
    assert not (ann.shared / "said-b1").exists()

    bob.runs("opened().close()")

    assert said(users, "b1") == f"{bob.uid} {bob.uid}\n"


def is_watch(process: psutil.Process, shared: Path, uid: int) -> bool:
    try:
        words = process.cmdline()
        ours = any(str(shared) in word for word in words) and process.uids().real == uid
        return ours and "runlore.entry.queue_watch" in words
    except psutil.Error:
        return False
