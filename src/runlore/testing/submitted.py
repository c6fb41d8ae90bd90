"""Helpers for tests of submitted runs: a project with scripts, and waiting for its runs."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from runlore import Experiment, Run, ScriptRun, ScriptRunConfig, Workspace
from runlore.domain.status import TERMINAL
from runlore.engine.places import CEILINGS
from runlore.execution.processes import processes_of
from runlore.storage.run_folder import RunFolder
from runlore.storage.user_cache import VARIABLE
from runlore.testing.waiting import wait_until
from runlore.workspace import session_of

READY = "ready to be ended"
"""The line that a script prints when the test may go on."""

STAYS = f"""
import time
print({READY!r}, flush=True)
time.sleep(600)
"""
"""A script that stays until it is ended from outside."""

STUBBORN = f"""
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print({READY!r}, flush=True)
time.sleep(600)
"""
"""A script that ignores SIGTERM."""

WITH_GRANDCHILDREN = f"""
import subprocess, sys, time
stays = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
own_group = subprocess.Popen([sys.executable, "-c", stays])
apart = subprocess.Popen([sys.executable, "-c", stays], start_new_session=True)
print(own_group.pid, apart.pid, flush=True)
print({READY!r}, flush=True)
time.sleep(600)
"""
"""A script with two stubborn children, one of which has left its process group."""


_ENTRIES = frozenset({"runlore.entry.supervisor", "runlore.entry.job"})


class Project:
    """A workspace, an experiment and a folder of scripts."""

    def __init__(self, folder: Path, target: str = "local", *, erasable: bool = False) -> None:
        self.source = folder / "source"
        self.source.mkdir(parents=True)
        self.ws = Workspace.create("lab", path=folder / "lab", erasable=erasable)
        self.exp = Experiment(self.ws, "explore-runs")
        self.target = target

    def config(
        self,
        code: str,
        *arguments: object,
        name: str = "train.py",
        variables: Mapping[str, str] | None = None,
        **options: Any,
    ) -> ScriptRunConfig:
        """A configuration that executes the code, which may be indented."""
        (self.source / name).write_text(textwrap.dedent(code))
        options.setdefault("compute_target", self.target)
        config = ScriptRunConfig(str(self.source), name, arguments=list(arguments), **options)
        config.run_config.environment_variables.update(variables or {})
        return config

    def submit(self, code: str, *arguments: object, **options: Any) -> ScriptRun:
        """Submit the code to the project's target."""
        return self.exp.submit(self.config(code, *arguments, **options))

    def ended(self, code: str, *arguments: object, **options: Any) -> ScriptRun:
        """Submit the code and wait for the run's end, good or bad."""
        run = self.submit(code, *arguments, **options)
        run.wait_for_completion(raise_on_error=False)
        return run


def folder_of(run: Run) -> RunFolder:
    """The run's folder while it executes."""
    return RunFolder(session_of(run.experiment.workspace).require_held(), run.id)


def supervisors_of(run_id: str) -> list[psutil.Process]:
    """The processes that were started as the run's supervisor: itself first, then its children."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        # An engine may have started a shell with these words, which is not the supervisor.
        if words[:1] == [sys.executable] and _ENTRIES.intersection(words) and run_id in words:
            found.append(process)
    return sorted(found, key=lambda process: process.create_time())


def is_over(run: Run) -> bool:
    """Whether the run has ended."""
    return run.get_status() in TERMINAL


def printed(run: Run) -> str:
    """The output of the script so far."""
    logs = run.get_details_with_logs()["logFiles"]
    return "".join(text for name, text in sorted(logs.items()) if name.startswith("user_logs/"))


def wait_for_status(run: Run, status: str) -> None:
    """Wait until the run has this status."""
    wait_until(lambda: run.get_status() == status, f"{run.id} to be {status}")


def wait_until_ready(run: Run) -> None:
    """Wait until the script has printed READY."""
    wait_until(lambda: READY in printed(run) or is_over(run), f"{run.id} to be ready")
    assert READY in printed(run), run.get_details_with_logs()


def wait_until_gone(run: Run, pids: Sequence[int] = ()) -> None:
    """Wait until all processes of the run, and `pids`, have ended or are zombies."""
    wait_until(
        lambda: not processes_of(folder_of(run)) and not any(map(is_alive, pids)),
        f"all processes of {run.id} to be gone",
    )


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def statuses_of(run: Run) -> list[str]:
    """The statuses of the run, in order."""
    return [
        change.new
        for change in run.history()
        if change.what
        in (
            *("created", "status_changed", "started", "cancel_requested"),
            *("completed", "failed", "canceled", "lost"),
        )
    ]


def without_ours(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment without the variables that make a process part of a run, or set it up.

    The cache and the ceilings of searches stay: tests have their own.
    """
    mine, kept = ("RUNLORE_", "AZUREML_"), (VARIABLE, CEILINGS)
    return {k: v for k, v in environ.items() if not k.startswith(mine) or k in kept}
