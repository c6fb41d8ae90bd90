"""Processes of a run for tests: each does what it is told, one thing at a time, until it is killed.

They are forked from the test's process, which takes no part in their runs, so that they are
processes of their own like the ranks of a distributed training.
"""

from __future__ import annotations

import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.status import Status
from runlore.engine.runs import leaving
from runlore.engine.runs.going_on import resume
from runlore.run.run import handle_of
from runlore.testing.children import Child
from runlore.workspace import session_of
from tests.disks import Disk
from tests.workspaces import start


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace in which this process writes nothing after its creation."""
    folder = tmp_path / "lab"
    Workspace.create("lab", path=folder).close()
    with Workspace.open(folder) as workspace:
        yield workspace


def folder_of(workspace: Workspace) -> Path:
    """The workspace's folder."""
    files = session_of(workspace).files
    assert files is not None
    return files


class Rank:
    """A process that takes part in a run of a workspace."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        told, self._tell = os.pipe()
        self._heard, answer = os.pipe()
        fds = self._tell, self._heard
        self._process = Child(lambda: _serve(folder, told, answer, fds, disk))
        self.pid = self._process.pid
        os.close(told)
        os.close(answer)
        self._answers = os.fdopen(self._heard, "rb")
        self._is_open = True

    def begin(self, name: str, *arguments: object) -> None:
        """Tell it to do something; `answer()` waits for the end of it."""
        os.write(self._tell, pickle.dumps((name, arguments)))

    def answer(self) -> Any:
        """What it answered. Raises EOFError if it was killed."""
        failure, value = pickle.load(self._answers)
        assert failure is None, failure
        return value

    def ask(self, name: str, *arguments: object) -> Any:
        """Tell it to do something, and wait for the answer."""
        self.begin(name, *arguments)
        return self.answer()

    def kill(self) -> None:
        """Kill -9 it, unless it has ended."""
        if self._is_open:
            os.kill(self.pid, signal.SIGKILL)
            self.died()

    def died(self) -> None:
        """Wait until it has killed itself."""
        _, status = os.waitpid(self.pid, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        self._process.let_go()
        self._let_go()

    def close(self) -> None:
        """Let it close the workspace and exit."""
        self.begin("close")
        self._process.result()
        self._let_go()

    def _let_go(self) -> None:
        self._is_open = False
        self._answers.close()
        os.close(self._tell)


@contextmanager
def ranks(folder: Path, number: int, disk: Disk | None = None) -> Iterator[list[Rank]]:
    """Processes; those that live at the end are killed. They can fill the disk."""
    made = [Rank(folder, disk) for _ in range(number)]
    try:
        yield made
    finally:
        for rank in made:
            rank.kill()


class _Told:
    """What a rank can be told."""

    def __init__(self, workspace: Workspace, disk: Disk | None) -> None:
        self.workspace = workspace
        self.disk = disk
        self.run: Run

    def create(self) -> str:
        self.run = start(Experiment(self.workspace, "e"))
        return self.run.id

    def create_child(self, run_id: str) -> str:
        (child,) = self.workspace.get_run(run_id).create_children(count=1)
        return child.id

    def join(self, run_id: str) -> None:
        self.run = self.workspace.get_run(run_id)
        handle_of(self.run).join()

    def attach(self, run_id: str) -> None:
        self.run = self.workspace.get_run(run_id)

    def log(self, name: str, value: float, flush: bool = True) -> None:
        self.run.log(name, value)
        if flush:
            self.run.flush()

    def log_in_fork(self, name: str, value: float) -> int:
        """Log in a forked child that stays; its process id."""
        pid = os.fork()
        if pid == 0:
            self.run.log(name, value)
            self.run.flush()
            signal.pause()
        return pid

    def tag(self, key: str) -> None:
        self.run.tag(key)

    def leave(self, status: str, message: str | None = None) -> bool:
        error = None if message is None else {"code": "UserError", "message": message}
        return leaving.leave(handle_of(self.run), Status(status), error)

    def fill_disk(self) -> None:
        assert self.disk is not None
        self.disk.fill(even_for_small_files=True)

    def free_disk(self) -> None:
        assert self.disk is not None
        self.disk.free()

    def leave_in_vain(self, status: str) -> str:
        """Leave; the warning that it is not recorded yet."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert not self.leave(status)
        return "\n".join(str(warning.message) for warning in caught)

    def leave_other(self, run_id: str) -> bool:
        return leaving.leave(handle_of(self.workspace.get_run(run_id)), Status.COMPLETED)

    def settle(self) -> bool:
        return leaving.settle(handle_of(self.run))

    def resume(self, reason: str) -> None:
        resume(handle_of(self.run), reason)

    def complete(self) -> None:
        self.run.complete()

    def fail(self, message: str) -> None:
        self.run.fail(message)

    def cancel(self) -> str:
        self.run.cancel()
        return self.run.get_status()

    def should_stop(self) -> bool:
        return self.run.should_stop

    def die_at(self, point: int) -> None:
        """Be killed at this point of the next `leave`; see `POINTS`."""
        points = iter(range(POINTS))

        def dying(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                _die_if(next(points) == point)
                result = function(*arguments, **options)
                _die_if(next(points) == point)
                return result

            return call

        session = type(session_of(self.workspace))
        for home, name in (
            (leaving, "show_outcome"),
            (leaving, "others_in"),
            (leaving, "remove_parts"),
            (session, "change"),
        ):
            setattr(home, name, dying(getattr(home, name)))


POINTS = 10
"""Of a `leave` that ends the run: before and after each look at the others (twice), the writing of
the outcome, the end, and the removal of the parts."""


def _die_if(now: bool) -> None:
    if now:
        os.kill(os.getpid(), signal.SIGKILL)


def _serve(
    folder: Path, told: int, answer: int, of_parent: tuple[int, int], disk: Disk | None
) -> None:
    for fd in of_parent:
        os.close(fd)
    with (
        os.fdopen(told, "rb") as commands,
        os.fdopen(answer, "wb", 0) as answers,
        Workspace.open(folder) as workspace,
    ):
        rank = _Told(workspace, disk)
        while True:
            name, arguments = pickle.load(commands)
            if name == "close":
                return
            try:
                answered: tuple[str | None, Any] = None, getattr(rank, name)(*arguments)
            except BaseException:
                answered = traceback.format_exc(), None
            pickle.dump(answered, answers)
