"""The leash itself: it is seen while it holds a run, and ends what it holds with its supervisor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runlore.execution.leash import Leash
from runlore.storage.held_path import hold
from runlore.storage.run_folder import RunFolder
from runlore.testing.submitted import is_alive
from tests.processes import wait_until

pytestmark = pytest.mark.processes


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """The folder of a run of the workspace in `tmp_path`."""
    made = RunFolder(hold(tmp_path), "r1")
    assert made.make_and_lock() is not None
    return made


def test_a_leash_is_seen_while_it_holds_the_run(tmp_path: Path, folder: RunFolder) -> None:
    leash = Leash()
    leash.find_runs_in(tmp_path)
    assert not folder.has_leash()
    leash.hold("r1", [], 0.1)
    wait_until(folder.has_leash, "the leash to take its lock")
    leash.let_go()
    wait_until(lambda: not folder.has_leash(), "the leash to let go")
    leash.close()


SUPERVISOR = """
import os, subprocess, sys
from pathlib import Path
from runlore.execution.leash import Leash
leash = Leash([1])
leash.find_runs_in(Path(sys.argv[1]))
child = subprocess.Popen(["sleep", "600"], stdout=2, start_new_session=True)
leash.hold("r1", [child.pid], 0.1)
print(child.pid, flush=True)
if sys.argv[2] == "goodbye":
    leash.close()
    os._exit(0)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(("way", "lives"), [("goodbye", True), ("killed", False)])
def test_processes_end_with_a_supervisor_that_was_killed(
    tmp_path: Path, folder: RunFolder, way: str, lives: bool
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SUPERVISOR, tmp_path, way],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    child = Path(f"/proc/{int(ran.stdout)}")
    if lives:
        wait_until(lambda: not folder.has_leash(), "the leash to end")
        assert child.exists()
        subprocess.run(["kill", "-9", child.name], check=True)
    else:
        # Nobody may have waited for it: see where its state is, not whether it is there.
        wait_until(lambda: not is_alive(int(child.name)), "the process to be ended")
