"""Real programs that start a run in `lab`, and end in one way or another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from runlore import Workspace
from tests.fresh_python import LIMIT_S, without_settings

START = """
import os, sys, threading, time
import runlore
run = runlore.init("e", workspace="lab", run_id="r")
run.log("loss", 0.5)
def ready():
    print("ready", flush=True)
    time.sleep(60)
"""


class Seen(NamedTuple):
    """A run as the next process finds it."""

    status: str
    message: str | None
    reasons: list[str]
    metrics: dict[str, Any]
    trace: str


def run_program(
    folder: Path, code: str, *, start: str = START, send: signal.Signals | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """The program's exit; `send` is a signal that it gets when it calls `ready()`."""
    script = folder / "train.py"
    script.write_text(start + code)
    with subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(script)],
        cwd=folder,
        env={**without_settings(os.environ), "RUNLORE_QUIET": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if send is not None:
                assert process.stdout is not None
                for line in process.stdout:
                    if line == "ready\n":
                        break
                process.send_signal(send)
            output, errors = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
    return subprocess.CompletedProcess([], process.returncode, output, errors)


def seen(folder: Path, run_id: str = "r") -> Seen:
    """The run as another process sees it after its program ended."""
    with Workspace.open(folder / "lab") as ws:
        run = ws.get_run(run_id)
        details = run.get_details()
        error = details.get("error", {}).get("error", {})
        return Seen(
            details["status"],
            error.get("message"),
            [change.reason for change in run.history() if change.reason],
            run.get_metrics(),
            error.get("debugInfo", {}).get("stackTrace", ""),
        )
