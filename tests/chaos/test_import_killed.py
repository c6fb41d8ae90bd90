"""Imports that are killed at random moments: all of the bundle is there, or nothing of it."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from pathlib import Path
from subprocess import Popen, TimeoutExpired

import pytest

from runlore import Experiment, Workspace
from runlore.storage.log_query import LogQuery
from runlore.storage.verification import verify_log
from tests.chaos.rounds import KILLS
from tests.processes import LIMIT_S, start_python

ROUNDS = KILLS // 4
RUNS = 300
CREATED = LogQuery(topics=["run.created"])
IMPORT = """
import sys
from runlore import Workspace
workspace = Workspace.open(sys.argv[1])
print("ready", flush=True)
workspace.import_bundle(sys.argv[2])
print("done", flush=True)
"""


def importing(bundle: Path, target: Path) -> Popen[str]:
    """A process that begins to import the bundle into a new workspace now."""
    Workspace.create("other", path=target).close()
    process = start_python(IMPORT, target, bundle)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


@pytest.mark.processes
@pytest.mark.slow
def test_an_import_that_is_killed_at_any_moment_is_there_whole_or_not_at_all(
    tmp_path: Path,
) -> None:
    bundle = tmp_path / "all.bundle"
    with Workspace.create("lab", path=tmp_path / "lab") as workspace:
        sweep = Experiment(workspace, "trees").start_logging(
            run_id="sweep", outputs=False, snapshot_directory=None
        )
        sweep.create_children(count=RUNS)
        workspace.export(bundle)
    whole = importing(bundle, tmp_path / "whole")
    began = time.monotonic()
    assert whole.communicate(timeout=LIMIT_S)[0] == "done\n"
    took_s = time.monotonic() - began
    for number in range(ROUNDS):
        target = tmp_path / f"round-{number}"
        killed = importing(bundle, target)
        with suppress(TimeoutExpired):
            killed.wait(random.uniform(0, took_s))
        killed.kill()
        killed.communicate(timeout=LIMIT_S)

        with Workspace.open(target) as other:
            seen = other.log.count_events(CREATED)
            assert seen in (0, RUNS + 1)
            assert verify_log(other.log).holds
            assert other.import_bundle(bundle).runs == RUNS + 1 - seen
            assert other.log.count_events(CREATED) == RUNS + 1
