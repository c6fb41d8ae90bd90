"""Helpers for tests of runs on Slurm."""

from __future__ import annotations

import subprocess
from typing import Any

from runlore import ComputeTarget, Run
from runlore.testing.submitted import Project

ATTEMPTS = """
import os, time
print("attempt", os.environ.get("SLURM_RESTART_COUNT", "0"), flush=True)
if "SLURM_RESTART_COUNT" not in os.environ:
    print("ready to be ended", flush=True)
    time.sleep(600)
"""
"""A script that stays at its first attempt, and ends at the second."""


def attach(project: Project, **settings: Any) -> None:
    """Attach a target that the project submits to."""
    settings = {"grace_s": 0.5, **settings}
    ComputeTarget.attach(project.ws, "slurm", type="slurm", this_machine=True, **settings)
    project.target = "slurm"


def job_of(run: Run) -> str:
    """The id of the run's job."""
    [placed] = {change.new for change in run.history() if change.what == "placed"}
    return str(placed)


def slurm_says(*words: str) -> str:
    """What a command of Slurm prints."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def error_of(run: Run) -> dict[str, str]:
    """The run's error."""
    found: dict[str, str] = run.get_details()["error"]["error"]
    return found
