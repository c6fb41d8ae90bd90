"""kill -9 while values are logged: what `log()` took is in the log, once, in its order.

Each victim counts in shared memory what `log()` has returned for, so that a kill between the
call and the count is the only thing that is not known.
"""

from __future__ import annotations

import mmap
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

from runlore import Experiment, Run, Workspace
from runlore.engine.runs.metric_reads import metrics_of
from runlore.run.run import handle_of
from runlore.storage import spool_folder
from runlore.storage.event_log import Drained, NewEvent, StoredRow
from runlore.storage.held_path import HeldPath
from runlore.storage.spool_format import MAGIC
from runlore.storage.sqlite_log import SqliteLog
from runlore.workspace import session_of
from tests.chaos.rounds import KILLS
from tests.processes import LIMIT_S, wait_until

pytestmark = pytest.mark.long

ROUNDS = KILLS // 4


class Counters:
    """Numbers in memory that a child shares with its parent, one for each thread."""

    def __init__(self, n: int = 8) -> None:
        self._memory = memoryview(mmap.mmap(-1, 8 * n)).cast("Q")

    def __getitem__(self, place: int) -> int:
        return self._memory[place]

    def __setitem__(self, place: int, count: int) -> None:
        self._memory[place] = count


def killed(child: Callable[[], None], after: Callable[[], float]) -> None:
    """Forks, lets the child work for a while, and kills it."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(1)
    time.sleep(after())
    os.kill(pid, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def once(counters: Counters, seconds: float) -> float:
    """So many seconds, from when the first value was logged."""
    wait_until(lambda: counters[0] > 0, "the first value")
    return seconds


def killed_by_itself(child: Callable[[], None]) -> None:
    """Forks a child that kills itself at a point of its own choice."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create("lab", path=tmp_path / "lab") as workspace:
        yield workspace


@pytest.fixture
def run(workspace: Workspace) -> Run:
    experiment = Experiment(workspace, "killed")
    return experiment.start_logging(outputs=False, snapshot_directory=None)


def values_after(workspace: Workspace, run: Run) -> dict[str, list[float]]:
    """The run's values as another process finds them, that opens the workspace now."""
    live = values_of(run)  # Before anybody recovered them.
    assert workspace.path is not None
    with Workspace.open(workspace.path) as opened:
        found = values_of(opened.get_run(run.id))
    assert found == live
    assert not any(map(holds_values, (workspace.path / "spools").glob("*")))
    return found


def holds_values(spool: Path) -> bool:
    """Not so where its owner was killed while it made the file."""
    return spool.read_bytes()[: len(MAGIC)] == MAGIC


def values_of(run: Run) -> dict[str, list[float]]:
    return {name: metric.values.tolist() for name, metric in metrics_of(handle_of(run)).items()}


def check(found: Sequence[float], acknowledged: int) -> None:
    """All that was acknowledged, perhaps one more, and each in its place."""
    assert len(found) - acknowledged in (0, 1)
    assert found == [float(n) for n in range(len(found))]


@pytest.mark.parametrize("pause_s", [0.0, 0.001], ids=["flat out", "1,000 a second"])
def test_a_killed_process_loses_no_value(workspace: Workspace, run: Run, pause_s: float) -> None:
    for number in range(ROUNDS):
        name, counters = f"loss {number}", Counters()

        def train(name: str = name, counters: Counters = counters) -> None:
            for step in range(10**9):
                run.log(name, float(step))
                counters[0] = step + 1
                if pause_s:
                    time.sleep(pause_s)

        killed(train, lambda: random.uniform(0.0, 0.4))

        check(values_after(workspace, run).get(name, []), counters[0])


def test_a_killed_process_loses_no_value_of_any_form(workspace: Workspace, run: Run) -> None:
    """Text, rows and arrays take several slots: none is torn, and none stands before another."""
    for number in range(ROUNDS):
        counters = Counters()

        def train(number: int = number, counters: Counters = counters) -> None:
            for step in range(10**9):
                run.log(f"text {number}", "x" * random.randrange(200))
                counters[0] = step + 1
                run.log_metrics({f"a {number}": float(step), f"b {number}": float(step)})
                counters[1] = step + 1
                run.log_row(f"row {number}", x=step, y="y")
                counters[2] = step + 1
                run.log_batch(f"batch {number}", [float(10 * step + n) for n in range(10)])
                counters[3] = step + 1

        killed(train, lambda: random.uniform(0.0, 0.3))

        found = values_after(workspace, run)
        assert len(found.get(f"text {number}", [])) - counters[0] in (0, 1)
        for name in "ab":
            check(found.get(f"{name} {number}", []), counters[1])
        rows = found.get(f"row {number}", [])
        assert len(rows) - counters[2] in (0, 1)
        assert rows == list(range(len(rows)))
        batch = found.get(f"batch {number}", [])
        assert len(batch) - 10 * counters[3] in (0, 10)
        assert batch == [float(n) for n in range(len(batch))]


def test_a_killed_process_with_threads_loses_no_value(workspace: Workspace, run: Run) -> None:
    for number in range(ROUNDS):
        counters = Counters()

        def train(thread: int, number: int = number, counters: Counters = counters) -> None:
            for step in range(10**9):
                run.log(f"{number} of {thread}", float(step))
                counters[thread] = step + 1

        def train_all(train: Callable[[int], None] = train) -> None:
            for thread in range(1, 4):
                threading.Thread(target=train, args=(thread,), daemon=True).start()
            train(0)

        killed(train_all, lambda: random.uniform(0.0, 0.3))

        found = values_after(workspace, run)
        for thread in range(4):
            check(found.get(f"{number} of {thread}", []), counters[thread])


def test_a_killed_process_with_forked_workers_loses_no_value(
    workspace: Workspace, run: Run
) -> None:
    """The workers log too, outlive the trainer for a while, and are killed themselves."""
    for number in range(ROUNDS):
        counters = Counters()

        def train(rank: int, number: int = number, counters: Counters = counters) -> None:
            for step in range(10**9):
                run.log(f"{number} of {rank}", float(step))
                counters[rank] = step + 1

        def train_all(train: Callable[[int], None] = train) -> None:
            os.setpgid(0, 0)
            run.log("before the fork", 1.0)
            for rank in range(1, 3):
                if os.fork() == 0:
                    train(rank)
            train(0)

        pid = os.fork()
        if pid == 0:
            try:
                train_all()
            finally:
                os._exit(1)
        wait_until(lambda counters=counters: counters[2] > 0, "the workers")  # type: ignore[misc]
        time.sleep(random.uniform(0.0, 0.2))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        before = counters[0]
        check(values_of(run)[f"{number} of 0"], before)  # Though its workers still live.
        os.killpg(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: is_gone(pid), "the workers' end")  # type: ignore[misc]

        found = values_after(workspace, run)
        assert len(found["before the fork"]) == number + 1
        for rank in range(3):
            check(found[f"{number} of {rank}"], counters[rank])


def is_gone(group: int) -> bool:
    """Whether no process of a group lives; whoever inherited the dead may not have waited yet."""
    dead = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() not in dead:
                return False
    return True


# --- at chosen points ---------------------------------------------------------------------------


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody survives that")


class Doomed(SqliteLog):
    """Kills its process at one point of an append of values."""

    point = "never"

    def append(
        self, events: Sequence[NewEvent], *, drained: Drained | None = None
    ) -> tuple[StoredRow, ...]:
        self._at("before the commit", drained)
        rows = super().append(events, drained=drained)
        self._at("before the mark is known", drained)
        return rows

    def _insert(self, *args: Any) -> None:
        super()._insert(*args)
        self._at("before the mark", True)

    def _at(self, point: str, drained: object) -> None:
        if drained and point == self.point:
            die()


POINTS = ["before the commit", "before the mark", "before the mark is known"]


def doom(workspace: Workspace, point: str) -> None:
    log: Any = session_of(workspace).log
    log.__class__ = Doomed
    Doomed.point = point


@pytest.mark.parametrize("point", POINTS)
def test_a_process_killed_while_it_drains_loses_and_repeats_nothing(
    workspace: Workspace, run: Run, point: str
) -> None:
    for number in range(5):
        counters, name = Counters(), f"loss {number}"

        def train(counters: Counters = counters, name: str = name) -> None:
            run.log(name, 0.0)
            run.flush()
            doom(workspace, point)
            for step in range(1, 1_000):
                run.log(name, float(step))
                counters[0] = step + 1
            run.flush()

        killed_by_itself(train)

        assert counters[0] == 1_000
        check(values_after(workspace, run)[name], 1_000)


@pytest.mark.parametrize("point", POINTS)
def test_a_process_killed_while_it_recovers_loses_and_repeats_nothing(
    workspace: Workspace, run: Run, point: str
) -> None:
    for number in range(5):
        counters, name = Counters(), f"loss {number}"

        def train(counters: Counters = counters, name: str = name) -> None:
            for step in range(10**9):
                run.log(name, float(step))
                counters[0] = step + 1

        def recover() -> None:
            doom(workspace, point)
            session = session_of(workspace).writable()
            assert session.spools is not None
            spool_folder.recover(session.spools, session.journal)

        killed(train, partial(once, counters, random.uniform(0.0, 0.2)))
        killed_by_itself(recover)

        check(values_after(workspace, run)[name], counters[0])


def test_a_process_killed_while_it_removes_a_recovered_spool_repeats_nothing(
    workspace: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = Counters()

    def train() -> None:
        for step in range(10**9):
            run.log("loss", float(step))
            counters[0] = step + 1

    def recover() -> None:
        monkeypatch.setattr(HeldPath, "unlink", lambda *_, **__: die())
        session = session_of(workspace).writable()
        assert session.spools is not None
        spool_folder.recover(session.spools, session.journal)

    killed(train, lambda: once(counters, 0.2))
    killed_by_itself(recover)
    check(values_after(workspace, run)["loss"], counters[0])


# --- signals ------------------------------------------------------------------------------------


def test_handlers_of_signals_log_in_the_middle_of_calls_that_log(run: Run) -> None:
    """Several thousand interruptions; every value of both has its own place."""
    interrupted, numbers = 0, count(1)

    def handler(*_: object) -> None:
        nonlocal interrupted
        interrupted = number = next(numbers)  # A handler may be interrupted by another.
        run.log("handler", float(number))
        run.log("text of the handler", "x" * 50)

    before = signal.signal(signal.SIGALRM, handler)
    steps = 0
    deadline = time.monotonic() + LIMIT_S
    try:
        while interrupted < 3_000 and time.monotonic() < deadline:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 3e-5))
            run.log("loss", float(steps))
            run.log_metrics({"a": float(steps), "b": float(steps)})
            steps += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    found = values_of(run)
    assert interrupted >= 3_000
    times = next(numbers) - 1
    assert sorted(found["handler"]) == [float(n) for n in range(1, times + 1)]
    assert len(found["text of the handler"]) == times
    for name in ("loss", "a", "b"):
        assert found[name] == [float(n) for n in range(steps)]


def test_a_terminated_process_may_log_and_complete_in_its_handler(
    workspace: Workspace, run: Run
) -> None:
    counters = Counters()

    def train() -> None:
        def handler(*_: object) -> None:
            run.log("last words", float(counters[0]))
            raise SystemExit(0)

        signal.signal(signal.SIGTERM, handler)
        try:
            for step in range(10**9):
                run.log("loss", float(step))
                counters[0] = step + 1
        finally:
            run.complete()
            os._exit(0)

    pid = os.fork()
    if pid == 0:
        train()
    time.sleep(once(counters, random.uniform(0.0, 0.2)))
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    found = values_of(run)
    assert found["last words"] == [float(counters[0])]
    check(found["loss"], counters[0])
    assert run.get_status() == "Completed"
