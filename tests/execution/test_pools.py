"""Pools of slots, with real processes: order, kills, resizing, deadlocks."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from runlore import ComputeTarget, Run, Workspace
from runlore.domain.fact import Fact
from runlore.domain.status import TERMINAL, Status
from runlore.engine.runs.handle import RunHandle
from runlore.exceptions import ComputeTargetException, ExperimentExecutionException
from runlore.execution.cancellation import cancel_submitted
from runlore.execution.handover import Order, Orders
from runlore.execution.launch import PoolSlot
from runlore.execution.targets import pool as pools
from runlore.execution.targets import pool_folder
from runlore.execution.targets.pool import PlacementInQueue, Pool
from runlore.execution.targets.queue import Claim, Queue
from runlore.run.run import handle_of
from runlore.storage.file_lock import unlock
from runlore.storage.log_query import LogQuery
from runlore.storage.run_folder import RunFolder
from runlore.testing.submitted import (
    STAYS,
    Project,
    folder_of,
    is_over,
    printed,
    statuses_of,
    wait_for_status,
    wait_until_ready,
    without_ours,
)
from runlore.workspace import session_of
from tests.processes import wait_until

pytestmark = [pytest.mark.long, pytest.mark.processes]

_GATED = """
import os, sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
"""
"""A script that ends when there is a file."""

_SUBMITTER = """
import sys
from runlore import Experiment, ScriptRunConfig, Workspace
uri, source, count, *arguments = sys.argv[1:]
experiment = Experiment(Workspace.open(uri), "explore-runs")
for _ in range(int(count)):
    config = ScriptRunConfig(source, "train.py", arguments=arguments, compute_target="pool")
    print(experiment.submit(config).id, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path, "pool")
    ComputeTarget.attach(project.ws, "pool", slots=2, grace_s=0.3)
    yield project
    for run in project.exp.get_runs():
        if run.get_status() not in TERMINAL:
            run.cancel()
    project.ws.close()


def order_of(run: Run) -> Order | None:
    """The order to start the run, if there is one yet."""
    return Orders(folder_of(run).workspace).of(run.id)


def submitter(project: Project, count: int, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-c", _SUBMITTER, project.ws.uri, str(project.source)),
            *map(str, (count, *arguments)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=without_ours(),
    )


def ids_of(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def ended(process: subprocess.Popen[str]) -> None:
    """Waits for its end, whether it was killed or is told to go."""
    process.communicate("")


def supervisors_in(project: Project) -> list[psutil.Process]:
    """All supervisors of the workspace and their leashes."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if "runlore.entry.supervisor" in words and project.ws.uri in words:
            found.append(process)
    return found


def kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, timeout=30)


def positions_of(project: Project, status: str, run_ids: Sequence[str]) -> list[str]:
    """The runs in the order in which they got the status for the first time."""
    rows = project.ws.sql(
        "SELECT run_id FROM status_history WHERE status = ? GROUP BY run_id ORDER BY min(position)",
        [status],
    ).fetchall()
    return [run_id for (run_id,) in rows if run_id in set(run_ids)]


def most_at_once(project: Project) -> int:
    """How many runs had a slot at the same time, at most, by what the log says."""
    executing: set[str] = set()
    most = 0
    rows = project.ws.sql("SELECT run_id, status FROM status_history ORDER BY position").fetchall()
    for run_id, status in rows:
        if status in ("Starting", "Preparing", "Running", "Finalizing", "CancelRequested"):
            executing.add(run_id)
        else:
            executing.discard(run_id)
        most = max(most, len(executing))
    return most


def test_20_runs_end_in_order_though_submitter_and_a_supervisor_are_killed(
    project: Project,
) -> None:
    gate = project.source.parent / "gate"
    project.config(_GATED)
    process = submitter(project, 20, gate)
    ids = ids_of(process, 20)
    runs = [project.ws.get_run(run_id) for run_id in ids]
    for run in runs[:2]:
        wait_for_status(run, "Running")
    process.kill()
    ended(process)

    pids = {one.pid for one in supervisors_in(project)}
    kill([one for one in supervisors_in(project) if one.ppid() not in pids][:1])
    gate.touch()
    # The other supervisor does it all by itself: nobody reads through the workspace meanwhile.
    log = session_of(project.ws).log
    wait_until(
        lambda: (
            sum(
                row.topic in ("run.completed", "run.failed", "run.lost")
                for row in log.read_log(LogQuery(limit=10**6))
            )
            == 20
        ),
        "20 runs to end",
    )

    assert sorted(run.get_status() for run in runs) == ["Completed"] * 19 + ["Failed"]
    assert positions_of(project, "Starting", ids) == ids
    assert most_at_once(project) <= 2


def test_a_queue_whose_supervisors_were_all_killed_goes_on_when_somebody_opens_it(
    project: Project,
) -> None:
    gate = project.source.parent / "gate"
    project.config(_GATED)
    process = submitter(project, 6, gate)
    ids = ids_of(process, 6)
    runs = [project.ws.get_run(run_id) for run_id in ids]
    for run in runs[:2]:
        wait_for_status(run, "Running")
    process.kill()
    ended(process)
    uri = project.ws.uri
    project.ws.close()
    kill(supervisors_in(project))
    gate.touch()

    project.ws = Workspace.open(uri)
    project.exp = project.ws.experiments["explore-runs"]

    for run_id in ids:
        wait_until(lambda run_id=run_id: is_over(project.ws.get_run(run_id)), f"{run_id} to end")  # type: ignore[misc]  # a lambda in a loop
    assert [project.ws.get_run(run_id).get_status() for run_id in ids] == [
        *["Failed"] * 2,
        *["Completed"] * 4,
    ]
    assert positions_of(project, "Starting", ids) == ids


def test_a_run_that_is_canceled_while_it_waits_never_starts_and_leaves_nothing(
    project: Project,
) -> None:
    blockers = [project.submit(STAYS) for _ in range(2)]
    queued, behind = project.submit(STAYS), project.submit("print('went on')", name="other.py")

    queued.cancel()

    assert queued.get_status() == "Canceled"
    assert statuses_of(queued) == ["NotStarted", "Queued", "Canceled"]
    assert not folder_of(queued).root.exists()
    assert order_of(queued) is None
    blockers[0].cancel()
    behind.wait_for_completion()
    assert printed(behind) == "went on\n"


def test_a_run_that_is_claimed_while_it_is_canceled_keeps_its_folder_for_its_supervisor(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canceler has read Queued; before it asks, the run is started."""
    from runlore.domain.run_commands import (
        RequestCancel,
    )

    blockers = [project.submit(STAYS) for _ in range(2)]
    queued = project.submit("import time; time.sleep(600)")
    change = RunHandle.change
    folders = []

    def claimed_first(run: RunHandle, command: Any, **options: Any) -> Sequence[Fact]:
        if isinstance(command, RequestCancel) and run.id == queued.id:
            blockers[0].cancel()
            wait_for_status(project.ws.get_run(queued.id), "Running")
            facts = change(run, command, **options)
            folders.append(folder_of(queued).root.exists())
            kill(supervisors_in(project))
            return facts
        return change(run, command, **options)

    monkeypatch.setattr(RunHandle, "change", claimed_first)
    cancel_submitted(handle_of(queued), None, wait_s=0.0)
    monkeypatch.undo()

    assert folders == [True]
    wait_for_status(queued, "Canceled")


def test_a_pool_that_is_attached_again_with_more_slots_starts_more(project: Project) -> None:
    runs = [project.submit(STAYS) for _ in range(4)]
    for run in runs[:2]:
        wait_until_ready(run)
    assert [run.get_status() for run in runs[2:]] == ["Queued"] * 2

    ComputeTarget.attach(project.ws, "pool", slots=4, grace_s=0.3)

    for run in runs:
        wait_until_ready(run)


def test_a_pool_that_is_attached_again_with_fewer_slots_starts_no_more_than_those(
    project: Project,
) -> None:
    gate = project.source.parent / "gate"
    ComputeTarget.attach(project.ws, "pool", slots=4, grace_s=0.3)
    first = [project.submit(_GATED, gate) for _ in range(4)]
    for run in first:
        wait_for_status(run, "Running")
    ComputeTarget.attach(project.ws, "pool", slots=1, grace_s=0.3)
    then = [project.submit("print('short')", name="short.py") for _ in range(6)]

    gate.touch()
    for run in [*first, *then]:
        run.wait_for_completion()

    rows = project.ws.sql("SELECT run_id, status FROM status_history ORDER BY position").fetchall()
    late = {run.id for run in then}
    executing: set[str] = set()
    for run_id, status in rows:
        if run_id in late and status in ("Starting", "Preparing", "Running", "Finalizing"):
            executing.add(run_id)
            assert len(executing) == 1
        else:
            executing.discard(run_id)


def test_a_target_with_queued_runs_cannot_be_deleted(project: Project) -> None:
    runs = [project.submit(STAYS) for _ in range(3)]

    with pytest.raises(ComputeTargetException, match="1 runs are queued on 'pool'"):
        ComputeTarget(project.ws, "pool").delete()

    runs[2].cancel()
    ComputeTarget(project.ws, "pool").delete()
    wait_until_ready(runs[0])  # What executes goes on.
    for run in runs[:2]:
        run.cancel()


def test_a_run_that_is_queued_while_its_target_is_deleted_keeps_the_target(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [project.submit(STAYS) for _ in range(3)]
    target = ComputeTarget(project.ws, "pool")
    queued = target._runs
    looks: list[Sequence[Status]] = []

    def not_yet(statuses: Sequence[Status]) -> Iterator[Run]:
        looks.append(statuses)
        return iter(()) if len(looks) == 1 else queued(statuses)

    monkeypatch.setattr(target, "_runs", not_yet)
    with pytest.raises(ComputeTargetException, match="1 runs are queued on 'pool'"):
        target.delete()

    assert ComputeTarget(project.ws, "pool").slots == 2
    runs[0].cancel()
    wait_until_ready(runs[2])


def test_a_run_whose_target_is_deleted_while_it_is_submitted_fails(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce = PlacementInQueue.announce

    def then_deleted(placement: PlacementInQueue) -> None:
        announce(placement)
        ComputeTarget(project.ws, "pool").delete()

    monkeypatch.setattr(PlacementInQueue, "announce", then_deleted)
    with pytest.raises(ExperimentExecutionException, match="'pool' is not a pool any more"):
        project.submit("pass")

    [run] = project.exp.get_runs()
    assert statuses_of(run) == ["NotStarted", "Queued", "Failed"]
    assert not folder_of(run).root.exists()
    assert order_of(run) is None


_ONE_AFTER_THE_OTHER = """
import sys, time
from runlore import Experiment, ScriptRunConfig, Workspace
from runlore.domain.status import TERMINAL
from runlore.engine.runs.handle import RunHandle
from runlore.workspace import session_of
uri, source, count = sys.argv[1:]
experiment = Experiment(Workspace.open(uri), "explore-runs")
session = session_of(experiment.workspace)
for _ in range(int(count)):
    config = ScriptRunConfig(source, "train.py", compute_target="pool")
    run = experiment.submit(config)
    deadline = time.monotonic() + 30
    # The log alone: a reader through the SDK would start what was left alone.
    while RunHandle(session, run.id).refresh().status not in TERMINAL:
        assert time.monotonic() < deadline, f"{run.id} was left alone"
        time.sleep(0.001)
"""


def test_a_run_that_is_queued_while_the_last_supervisor_ends_is_not_left_alone(
    project: Project,
) -> None:
    """Each submission meets a supervisor that has just ended a run and finds the queue empty."""
    project.config("pass")
    words = [project.ws.uri, str(project.source), "6"]
    submitters = [
        subprocess.Popen(
            [sys.executable, "-c", _ONE_AFTER_THE_OTHER, *words],
            stderr=subprocess.PIPE,
            text=True,
            env=without_ours(),
        )
        for _ in range(3)
    ]

    for process in submitters:
        _, errors = process.communicate()
        assert process.returncode == 0, errors

    assert most_at_once(project) <= 2


def test_runs_of_many_submitters_all_end_and_never_more_than_the_slots_execute(
    project: Project,
) -> None:
    """Each run may be queued just when a supervisor finds the queue empty; nobody else looks."""
    project.config("pass")
    submitters = [submitter(project, 8) for _ in range(3)]
    ids = [run_id for process in submitters for run_id in ids_of(process, 8)]
    for process in submitters:
        ended(process)
    log = session_of(project.ws).log

    wait_until(
        lambda: (
            sum(row.topic == "run.completed" for row in log.read_log(LogQuery(limit=10**6)))
            == len(ids)
        ),
        f"{len(ids)} runs to complete",
    )

    assert len(set(ids)) == 24
    assert most_at_once(project) <= 2


def test_a_run_that_is_recorded_while_a_reader_tidies_the_queue_keeps_its_place(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader has seen the hint of a run that is not recorded yet; then it is recorded."""
    blockers = [project.submit(STAYS) for _ in range(2)]
    pool = Pool.of(session_of(project.ws).writable(), "pool")
    assert pool is not None
    looked, recorded = threading.Event(), threading.Event()
    state = Queue.state_of
    first: list[str] = []

    def slow(self: Queue, run_id: str) -> object:
        found = state(self, run_id)
        if threading.current_thread() is tidier and found is None and not first:
            first.append(run_id)
            looked.set()
            recorded.wait(30)
        return found

    def tidy() -> None:
        for hint in pool.files.hints():
            pool.queue.forget_if_stale(hint)

    tidier = threading.Thread(target=tidy)
    monkeypatch.setattr(Queue, "state_of", slow)
    announce = PlacementInQueue.announce

    def announced(placement: PlacementInQueue) -> None:
        announce(placement)
        tidier.start()
        assert looked.wait(30)

    monkeypatch.setattr(PlacementInQueue, "announce", announced)
    queued = project.submit("print('started')", name="other.py")
    recorded.set()
    tidier.join()
    monkeypatch.undo()
    blockers[0].cancel()

    queued.wait_for_completion()


def test_who_waits_for_a_run_that_another_has_claimed_goes_on_with_the_next(
    project: Project,
) -> None:
    """A supervisor holds its run's lock for as long as that takes: nobody must wait for it."""
    running = project.submit(STAYS)
    wait_until_ready(running)
    pool = Pool.of(session_of(project.ws).writable(), "pool")
    assert pool is not None
    queue = folder_of(running).workspace.plain / "pools" / "pool" / "queue"
    (queue / f"{0:020d}-{running.id}").touch()  # As whoever has read Queued just before sees it.

    run = project.ended("print('started')", name="other.py")

    assert run.get_status() == "Completed"
    assert running.get_status() == "Running"


def test_a_queued_run_whose_folder_was_taken_away_starts_all_the_same(project: Project) -> None:
    blockers = [project.submit(STAYS) for _ in range(2)]
    queued = project.submit("print('started')", name="other.py")

    folder_of(queued).remove()
    blockers[0].cancel()

    queued.wait_for_completion()


def test_a_supervisor_that_cannot_be_started_fails_that_run_and_no_other(
    project: Project,
) -> None:
    workspace = session_of(project.ws).require_held()
    # A folder in its place: nothing can be written there.
    RunFolder(workspace, "hopeless").supervisor_log.plain.mkdir(parents=True)

    with pytest.raises(ExperimentExecutionException, match="a folder, where a file should be"):
        project.exp.submit(project.config("pass"), run_id="hopeless")

    [failed] = project.exp.get_runs()
    assert failed.get_status() == "Failed"
    assert failed.get_details()["error"]["error"]["code"] == "SupervisorNotStarted"

    assert project.ended("pass").get_status() == "Completed"


def test_a_killed_supervisor_gives_its_slot_and_its_run_back_while_the_submitter_lives(
    project: Project,
) -> None:
    """The locks were handed on: whoever started the supervisor keeps none of them."""
    ComputeTarget.attach(project.ws, "pool", slots=1, grace_s=0.3)
    lost = project.submit(STAYS)
    wait_until_ready(lost)

    kill(supervisors_in(project))

    assert project.ended("pass").get_status() == "Completed"
    assert lost.get_details()["error"]["error"]["code"] == "RunLost"


def test_a_full_memory_disk_or_a_killed_writer_leaves_no_half_environment(
    project: Project,
) -> None:
    blockers = [project.submit(STAYS) for _ in range(2)]
    queued = project.submit("print('started')", name="other.py")
    workspace = folder_of(queued).workspace
    for path in Path("/dev/shm").glob(f"{Orders(workspace).beginning}*"):
        path.write_text('{"HALF": "of')
    blockers[0].cancel()

    queued.wait_for_completion()


def test_a_submitter_killed_before_its_run_was_recorded_leaves_no_secrets(
    project: Project,
) -> None:
    workspace = session_of(project.ws).require_held()
    folder = RunFolder(workspace, "never-recorded")
    lock_fd = folder.make_and_lock()
    assert lock_fd is not None
    assert Orders(workspace).keep("never-recorded", "a digest", {"TOKEN": "secret"})
    os.close(lock_fd)

    with Workspace.open(project.ws.uri):
        assert Orders(workspace).of("never-recorded") is None
        assert not folder.root.exists()


_PARENT = """
import sys
from runlore import Run, ScriptRunConfig
child = Run.get_context().submit_child(
    ScriptRunConfig(".", "child.py", compute_target="pool"), run_id=sys.argv[1]
)
child.wait_for_completion()
"""


def test_a_parent_that_waits_for_children_without_a_slot_is_warned(project: Project) -> None:
    (project.source / "child.py").write_text("pass")
    parents = [project.submit(_PARENT, f"child-{number}") for number in range(2)]

    for parent in parents:
        wait_until(
            lambda parent=parent: "RuntimeWarning" in printed(parent) or is_over(parent),  # type: ignore[misc]  # a lambda in a loop
            "a warning",
        )

    for number, parent in enumerate(parents):
        [warning] = [line for line in printed(parent).splitlines() if "RuntimeWarning" in line]
        assert f"run child-{number} is waited for and may never start" in warning
        assert "all 2 slots of 'pool' are held by runs that have queued children" in warning
    parents[0].cancel()
    for run_id in ("child-0", "child-1"):
        wait_for_status(project.ws.get_run(run_id), "Completed")
    parents[1].wait_for_completion()


def test_a_parent_whose_child_only_has_to_wait_its_turn_is_not_warned(project: Project) -> None:
    gate = project.source.parent / "gate"
    (project.source / "child.py").write_text("pass")
    blocker = project.submit(_GATED, gate, name="gated.py")
    parent = project.submit(_PARENT, "child")
    wait_until(
        lambda: any(run.id == "child" for run in project.exp.get_runs(include_children=True)),
        "the child",
    )
    child = project.ws.get_run("child")
    assert child.get_status() == "Queued"
    gate.touch()

    parent.wait_for_completion()

    assert "RuntimeWarning" not in printed(parent)
    assert blocker.get_status() == "Completed"


def test_what_a_killed_supervisor_left_on_its_slot_is_no_deadlock(project: Project) -> None:
    ComputeTarget.attach(project.ws, "pool", slots=1, grace_s=0.3)
    (project.source / "child.py").write_text("pass")
    code = _PARENT.replace("child.wait_for_completion()", STAYS)
    parent = project.submit(code, "child")
    wait_until_ready(parent)
    pool = Pool.of(session_of(project.ws).writable(), "pool")
    assert pool is not None
    assert pool.why_stuck("child", parent.id) is not None

    kill(supervisors_in(project))
    wait_for_status(parent, "Failed")

    assert pool.why_stuck("child", parent.id) is None
    wait_for_status(project.ws.get_run("child"), "Completed")


def test_a_supervisor_that_is_told_to_end_starts_nothing_more(project: Project) -> None:
    ComputeTarget.attach(project.ws, "pool", slots=1, grace_s=0.3)
    runs = [project.submit(STAYS) for _ in range(2)]
    wait_until_ready(runs[0])
    pids = {one.pid for one in supervisors_in(project)}
    [supervisor] = [one for one in supervisors_in(project) if one.ppid() not in pids]

    supervisor.terminate()
    psutil.wait_procs([supervisor], timeout=30)

    assert not supervisor.is_running()
    assert runs[0].get_status() == "Failed"
    assert runs[0].get_details()["error"]["error"]["code"] == "SupervisorFailed"
    with Workspace.open(project.ws.uri) as again:  # Which starts what waits.
        wait_for_status(again.get_run(runs[1].id), "Running")


def pool_of(project: Project) -> Pool:
    found = Pool.of(session_of(project.ws).writable(), "pool")
    assert found is not None
    return found


@pytest.fixture
def watches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pools for which a watch was started; none is."""
    names: list[str] = []
    monkeypatch.setattr(pools, "start_watch", lambda uri, name, lock_fd: names.append(name))
    return names


def test_a_run_that_waits_for_the_slots_of_another_user_gets_a_watch(
    project: Project, watches: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(project)
    slots = [pool.files.lock_free_slot(pool.slots) for _ in range(pool.slots)]
    monkeypatch.setattr(Queue, "user_on", lambda queue, slot: os.geteuid() + 1)
    pool.settle()
    assert watches == []

    run = project.submit("pass")

    assert watches == ["pool"]
    run.cancel()
    watches.clear()
    pool.settle()
    assert watches == []
    for slot in slots:
        assert slot is not None
        unlock(slot.fd)


def test_a_watch_looks_for_the_last_time_when_others_can_start_a_watch_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(project)
    lock_fd = pool.files.lock_watch()
    assert lock_fd is not None
    watched: list[set[int]] = []

    def none_waits(queue: Queue) -> bool:
        watched.append(pool.files.watched_for())
        return False

    monkeypatch.setattr(Queue, "has_waiting_run", none_waits)
    pool.watch(lock_fd)

    assert watched == [{os.geteuid()}, set()]
    os.close(lock_fd)


def test_a_watch_that_cannot_be_looked_at_counts_as_gone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(project)
    lock_fd = pool.files.lock_watch()
    assert lock_fd is not None
    assert pool.files.watched_for() == {os.geteuid()}

    def refused(path: object) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(pool_folder, "is_locked", refused)
    assert pool.files.watched_for() == set()
    os.close(lock_fd)


def test_a_supervisor_takes_a_run_that_is_queued_just_after_it_found_none(
    project: Project, watches: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ComputeTarget.attach(project.ws, "pool", slots=1)
    pool = pool_of(project)
    slot = pool.files.lock_free_slot(1)
    assert slot is not None
    claim = Queue.claim
    submitted: list[str] = []

    def too_early(queue: Queue, slot: PoolSlot) -> Claim | None:
        if submitted:
            return claim(queue, slot)
        submitted.append("")  # Submitting looks for a claim as well.
        submitted[:] = [project.submit("pass").id]
        return None

    monkeypatch.setattr(Queue, "claim", too_early)
    claimed = pool.next_for(slot)

    assert claimed is not None and [claimed.run_id] == submitted
    assert pool.files.is_slot_locked(slot.number)
    unlock(claimed.lock_fd)
    unlock(slot.fd)
