"""A small engine for tests: its jobs are processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from runlore.exceptions import ComputeTargetException
from runlore.execution.targets.engines.engine import Engine, Job, JobState, Phase
from runlore.testing.submitted import without_ours

_DETACHED = '/bin/sh -c "$0" "$@" </dev/null >"$1/log" 2>&1 & echo $!'
_JOB = 'PROCESSES_JOB=$$ "$@"; echo $? >"$0/$$"'


class Processes(Engine):
    """Jobs are shells in sessions of their own, which write `<folder>/<pid>` when they end."""

    kind = "processes"
    own_variables = ("PROCESSES_",)

    @classmethod
    def checked(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        if set(settings) != {"folder"}:
            raise ComputeTargetException(f"it takes folder, not {', '.join(settings)}")
        return dict(settings)

    def submit(self, job: Job) -> str:
        with subprocess.Popen(
            ["/bin/sh", "-c", _DETACHED, _JOB, self.settings["folder"], *job.words],
            stdout=subprocess.PIPE,
            env=without_ours(),
            start_new_session=True,
            text=True,
        ) as started:
            assert started.stdout is not None
            return started.stdout.readline().strip()

    def poll(self, handle: str) -> JobState:
        written = self._folder / handle
        if written.exists():
            return JobState(Phase.ENDED, f"exit code {written.read_text().strip()}")
        return JobState(Phase.EXECUTING if psutil.pid_exists(int(handle)) else Phase.UNKNOWN)

    def cancel(self, handle: str) -> None:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            for process in psutil.Process(int(handle)).children():
                process.send_signal(signal.SIGTERM)

    def own_handle(self, environment: Mapping[str, str]) -> str | None:
        return environment.get("PROCESSES_JOB")

    @property
    def _folder(self) -> Path:
        return Path(os.fspath(self.settings["folder"]))
