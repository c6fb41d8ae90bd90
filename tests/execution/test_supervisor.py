"""A supervisor, in this process, that finds no room for what it must record."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from runlore.engine.runs.handle import RunHandle
from runlore.execution import supervisor
from runlore.execution.launch import environment_for, split_environment
from runlore.execution.leash import Leash
from runlore.execution.supervisor import Supervisor
from runlore.execution.targets import local
from runlore.execution.targets.queue import digest_of_state
from runlore.run.run import handle_of
from runlore.storage.errors import DiskFull
from runlore.storage.run_folder import RunFolder
from runlore.testing.submitted import Project, folder_of

pytestmark = pytest.mark.processes


class Clock:
    """The supervisor's time, which passes only while it sleeps."""

    def __init__(self) -> None:
        self.slept_s = 0.0

    def monotonic(self) -> float:
        return 1_000.0 + self.slept_s

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        assert self.slept_s < 600, "it tries for ever"


class Ticking(Clock):
    """Time that passes at each look at it as well."""

    def monotonic(self) -> float:
        self.slept_s += 0.3
        return super().monotonic()


class NoLeash(Leash):
    """Ends nothing; says whether it would."""

    def __init__(self) -> None:
        self.held = False

    def hold(self, run_id: str, groups: Sequence[int], grace_s: float) -> None:
        self.held = True

    def let_go(self) -> None:
        self.held = False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(supervisor, "time", clock)
    return clock


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project whose runs get no supervisor; their folders stay locked."""
    fds: list[int] = []

    def keep_lock(uri: str, folder: RunFolder, lock_fd: int, environment: object) -> None:
        fds.append(os.dup(lock_fd))

    monkeypatch.setattr(local, "start_supervisor", keep_lock)
    project = Project(tmp_path)
    yield project
    project.ws.close()
    for fd in fds:
        os.close(fd)


def supervised(
    run: RunHandle,
    leash: Leash,
    beat: Callable[[], None] = lambda: None,
    look: Callable[[], None] = lambda: None,
) -> Supervisor:
    handed = split_environment(environment_for({}, digest_of_state(run.fetch())))
    return Supervisor(run.session.writable(), run, leash, handed, beat, look)


def full_until(clock: Clock, room_at_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, until that time, no change of a run finds room on the disk."""
    change = RunHandle.change

    def while_full(*arguments: Any, **options: Any) -> Any:
        if clock.slept_s < room_at_s:
            raise DiskFull("no room")
        return change(*arguments, **options)

    monkeypatch.setattr(RunHandle, "change", while_full)


def test_a_supervisor_without_room_gives_up_after_a_minute(
    project: Project, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project.submit("pass")
    leash = NoLeash()
    full_until(clock, float("inf"), monkeypatch)

    with pytest.raises(DiskFull):
        supervised(handle_of(run), leash).execute()

    assert 60 <= clock.slept_s < 61
    assert not leash.held
    assert folder_of(run).root.exists()  # Readers see by it that the run is lost.


def test_a_supervisor_that_finds_room_within_a_minute_goes_on(
    project: Project, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project.submit("pass")
    leash = NoLeash()
    full_until(clock, 59.0, monkeypatch)

    assert supervised(handle_of(run), leash).execute()

    assert run.get_status() == "Completed"
    assert 59 <= clock.slept_s < 60
    assert not leash.held
    assert not folder_of(run).root.exists()


_GATED = """
import os, sys, time
deadline = time.monotonic() + 60
while not os.path.exists(sys.argv[1]):
    assert time.monotonic() < deadline
    time.sleep(0.01)
"""


def test_a_supervisor_looks_around_and_is_heard_while_the_script_executes(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Ticking()
    monkeypatch.setattr(supervisor, "time", clock)
    run = project.submit(_GATED, tmp_path / "gate")
    looks: list[float] = []
    beats: list[float] = []

    def look() -> None:
        looks.append(clock.slept_s)
        if len(looks) == 12:
            (tmp_path / "gate").touch()

    def beat() -> None:
        beats.append(clock.slept_s)

    assert supervised(handle_of(run), NoLeash(), beat, look).execute()

    assert run.get_status() == "Completed"
    assert all(later - earlier > 1 for earlier, later in pairwise(looks))
    assert len(beats) > 1 and all(later - earlier > 5 for earlier, later in pairwise(beats))
