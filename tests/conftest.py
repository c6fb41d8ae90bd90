"""Settings of the whole suite."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.postgres.server import Server

# Examples have no time limit of their own: the machine may be busy, and a disk may be slow.
# They are the same each time, so that a change is not blamed for what it did not do; `make explore`
# looks for new ones.
settings.register_profile("runlore", deadline=None, derandomize=True)
settings.register_profile("short", deadline=None, derandomize=True, max_examples=20)
settings.register_profile("check", deadline=None, derandomize=True, max_examples=10)
settings.register_profile("explore", deadline=None, max_examples=1_000, print_blob=True)
settings.load_profile("runlore")

_FOLDERS = ("RUNLORE_CACHE_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
_STARTS_A_PROCESS = {
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.system",
    "subprocess.Popen",
}
_started: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """The cache and the settings are those of the tests, also in processes that they start.

    If tests that start processes are left out, any other test that starts one is noticed.
    """
    for variable in _FOLDERS:
        os.environ[variable] = tempfile.mkdtemp(prefix="runlore-")
    # Tests say what they capture: it takes time, and is different on each machine.
    os.environ["RUNLORE_CAPTURE"] = "none"
    os.environ["RUNLORE_QUIET"] = "1"  # tests/entry/test_start_line.py asks for the line.
    # No test finds a workspace that lies in the temporary folder or above it.
    os.environ["RUNLORE_CEILING_DIRECTORIES"] = os.pathsep.join(
        (tempfile.gettempdir(), str(config.rootpath.parent))
    )
    if "not processes" in config.option.markexpr:
        sys.addaudithook(_note_processes)


def pytest_unconfigure() -> None:
    for variable in _FOLDERS:
        shutil.rmtree(os.environ[variable], ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    yield
    if _started:
        message = f"This test starts a process ({', '.join(sorted(set(_started)))})"
        pytest.fail(f"{message}: mark it with pytest.mark.processes", pytrace=False)


def pytest_runtest_teardown() -> None:
    """The runs that a test left open do not keep its workspaces open until the end of the tests."""
    ends = sys.modules.get("runlore.engine.ends.this_process")
    if ends is not None:
        ends.leave_open()


def pytest_runtest_logstart() -> None:
    _started.clear()


def _note_processes(event: str, _: tuple[object, ...], own_pid: int = os.getpid()) -> None:
    if event in _STARTS_A_PROCESS and os.getpid() == own_pid:
        _started.append(event)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server of this process's tests; tests that stop one make their own."""
    from tests.postgres.server import running_server  # Imported here: few tests need its driver.

    with running_server() as server:
        yield server
