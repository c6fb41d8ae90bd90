"""Slurm: runs are batch jobs, through `sbatch`, `squeue`, `scontrol` and `scancel`.

The commands must be on the PATH of the submitting host, and on the cluster's hosts if scripts
submit runs there. What Slurm shows of a job to others (`scontrol show job`, `scontrol write
batch_script`) is the supervisor's command line, which holds no secret.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from runlore.domain.secrets import mask_words
from runlore.exceptions import ComputeTargetException
from runlore.execution.targets.engines.engine import (
    NODE_FAILED,
    OUT_OF_MEMORY,
    PREEMPTED,
    TIME_LIMIT,
    Engine,
    EngineUnavailable,
    Job,
    JobState,
    Phase,
)
from runlore.execution.targets.engines.handed_file import last_output

_COMMAND_MAX_S: Final = 60.0
_DEFAULT_DURATION_S: Final = 30 * 86_400.0
"""Azure's default of `max_run_duration_seconds`, which nobody chose: Slurm's own default holds."""
_SPARE_S: Final = 60.0
"""A job may last this much longer than its script, besides the time between TERM and KILL."""
_TIME: Final = re.compile(r"(\d+-\d+(:\d+){0,2}|\d+(:\d+){0,2})\Z")
_OURS: Final = (
    "--parsable",
    "--export",
    "--export-file",
    "--array",
    "-a",
    "--wrap",
    "--wait",
    "-W",
)

_OF_DEVICES: Final = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
_NEEDED: Final = ("PATH", "HOME", "USER", "LOGNAME", "LD_LIBRARY_PATH", "SLURM_CONF")

_WAITING: Final = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD"}
    | {"SPECIAL_EXIT"}
)
_EXECUTING: Final = frozenset(
    {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}
)
_CODES: Final[Mapping[str, str]] = {
    "TIMEOUT": TIME_LIMIT,
    "DEADLINE": TIME_LIMIT,
    "OUT_OF_MEMORY": OUT_OF_MEMORY,
    "NODE_FAIL": NODE_FAILED,
    "BOOT_FAIL": NODE_FAILED,
    "PREEMPTED": PREEMPTED,
}
_NO_MEMORY: Final = ("Exceeded job memory limit", "exceeded memory limit", "oom-kill event")
_FORGOTTEN: Final = "Invalid job id"


class Slurm(Engine):
    """A cluster's Slurm, as the commands on this host's PATH reach it."""

    kind = "slurm"
    own_variables = ("SLURM_", "SLURMD_", *_OF_DEVICES)
    handle_variable = "SLURM_JOB_ID"
    takes: ClassVar = dict.fromkeys(("partition", "gpus", "time_limit", "extra_args"))

    @classmethod
    def checked(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        filled = super().checked(settings)
        given = {name: value for name, value in filled.items() if value is not None}
        _check_partition(given.get("partition"))
        if "gpus" in given:
            given["gpus"] = _gpus(given["gpus"])
        if "time_limit" in given:
            given["time_limit"] = _time_limit(given["time_limit"])
        if "extra_args" in given:
            given["extra_args"] = _extra_args(given["extra_args"])
        return given

    def check(self, job: Job) -> None:
        if shutil.which("sbatch") is None:
            raise ComputeTargetException(
                "the command sbatch is not on the PATH; submit from a host of the Slurm cluster"
            )

    def submit(self, job: Job) -> str:
        script = f"#!/bin/sh\nexec {shlex.join(job.words)}\n"
        # `--export=ALL` gives the job this command's environment, which is none of the run's.
        # Without it Slurm would first log the user in, which takes a second.
        said = _run(["sbatch", *self.options(job)], script, _visible(os.environ))
        return said.strip().partition(";")[0]

    def options(self, job: Job) -> list[str]:
        """The options of `sbatch` for a job."""
        settings = self.settings
        found = ["--parsable", "--export=ALL", "--chdir=/", f"--job-name={job.name}"]
        found += [f"--output={job.output or '/dev/null'}", f"--nodes={job.node_count}"]
        if "partition" in settings:
            found.append(f"--partition={settings['partition']}")
        if "gpus" in settings:
            found.append(f"--gpus={settings['gpus']}")
        limit = settings.get("time_limit") or _minutes(job)
        if limit is not None:
            found.append(f"--time={limit}")
        return [*found, *settings.get("extra_args", ())]

    def poll(self, handle: str) -> JobState:
        shown = self._show(handle)
        return JobState(Phase.UNKNOWN, "Slurm has forgotten it") if shown is None else _read(shown)

    def cancel(self, handle: str) -> None:
        try:
            _run(["scancel", _number(handle)])
        except ComputeTargetException as error:
            if isinstance(error, EngineUnavailable) or _FORGOTTEN not in str(error):
                raise

    def find(self, name: str) -> str | None:
        lines = _run(["squeue", "--noheader", "--me", f"--name={name}", "--format=%A"]).split()
        return lines[0] if lines else None

    def poll_told(self, handle: str) -> JobState:
        """While processes of a job are being ended, Slurm shows COMPLETING, and traces of why."""
        shown = self._show(handle)
        if shown is None or shown.get("JobState") != "COMPLETING":
            return self.poll(handle) if shown is None else _read(shown)
        started = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        if int(shown.get("Restarts", "0")) > started:
            return JobState(Phase.WAITING, _detail(shown, "to be started again"))
        if shown.get("Reason") == "TimeLimit":
            return JobState(Phase.ENDED, _detail(shown, "TIMEOUT"), TIME_LIMIT)
        if shown.get("PreemptTime", "None") not in ("None", "Unknown"):
            return JobState(Phase.ENDED, _detail(shown, "PREEMPTED"), PREEMPTED)
        return JobState(Phase.ENDED, _detail(shown, "CANCELLED"), canceled=True)

    def _show(self, handle: str) -> dict[str, str] | None:
        """The fields of a job; None if Slurm does not know it, or not any more (MinJobAge)."""
        try:
            text = _run(["scontrol", "show", "job", "--oneliner", _number(handle)])
        except EngineUnavailable:
            raise
        except ComputeTargetException as error:
            if _FORGOTTEN in str(error):
                return None
            raise EngineUnavailable(str(error)) from error
        return dict(word.split("=", 1) for word in text.split() if "=" in word)


def _read(shown: Mapping[str, str]) -> JobState:
    state = shown.get("JobState", "")
    detail = _detail(shown, state)
    if state in _WAITING:
        return JobState(Phase.WAITING, detail)
    if state in _EXECUTING:
        return JobState(Phase.EXECUTING, detail)
    if state == "FAILED" and _has_used_up_memory(shown):
        state = "OUT_OF_MEMORY"
    return JobState(Phase.ENDED, detail, _CODES.get(state), canceled=state == "CANCELLED")


def _has_used_up_memory(shown: Mapping[str, str]) -> bool:
    """Whether Slurm killed a job for its memory: not all of its ways to do so say that otherwise.

    Its own output, which the supervisor does not use for long, has a line of Slurm's then.
    """
    if not shown.get("ExitCode", "").endswith(":9"):
        return False
    return any(sign in last_output(shown.get("StdOut", "")) for sign in _NO_MEMORY)


def _detail(shown: Mapping[str, str], state: str) -> str:
    parts = [state]
    if shown.get("Reason", "None") not in ("None", ""):
        parts.append(f"Reason={shown['Reason']}")
    if shown.get("ExitCode", "0:0") != "0:0":
        parts.append(f"ExitCode={shown['ExitCode']}")
    if shown.get("NodeList", "(null)") not in ("(null)", ""):
        parts.append(f"on {shown['NodeList']}")
    return " ".join(parts)


def _visible(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that `sbatch` needs; a job of ours that submits another has more of Slurm's."""
    return {
        name: value
        for name, value in environment.items()
        if name in _NEEDED or name.startswith("SBATCH_")
    }


def _run(
    words: Sequence[str], script: str = "", environment: Mapping[str, str] = os.environ
) -> str:
    """What a command of Slurm prints.

    Raises EngineUnavailable if Slurm cannot be reached, ComputeTargetException with the command's
    own words if it refuses.
    """
    try:
        done = subprocess.run(
            words,
            input=script,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMMAND_MAX_S,
            check=False,
            env={**environment, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineUnavailable(f"{words[0]} cannot be used here: {error}") from error
    if not done.returncode:
        return done.stdout
    said = done.stderr.strip() or f"{words[0]} ended with exit code {done.returncode}"
    if any(sign in said for sign in _UNREACHABLE):
        raise EngineUnavailable(said)
    raise ComputeTargetException(said)


_UNREACHABLE: Final = (
    "Unable to contact slurm controller",
    "Could not establish a configuration source",
    "Socket timed out",
    "Zero Bytes were transmitted",
    "Connection refused",
    "Munge",
)


def _number(handle: str) -> str:
    """The id of a job; a log may hold any text as a handle, which is no option of a command."""
    if not re.fullmatch(r"\d{1,18}", handle):
        raise ComputeTargetException(f"{handle!r:.80} is not the id of a Slurm job")
    return handle


def _minutes(job: Job) -> int | None:
    """Slurm's limit for a run that has an own one: so late that the run's own comes first."""
    own = job.max_run_duration_s
    if own is None or own >= _DEFAULT_DURATION_S:
        return None
    return math.ceil((own + job.grace_s + _SPARE_S) / 60)


def _check_partition(partition: object) -> None:
    if partition is not None and not (isinstance(partition, str) and partition.strip()):
        raise ComputeTargetException(f"partition is {partition!r:.80}; it takes a name, or several")


def _gpus(gpus: object) -> str:
    text = "" if isinstance(gpus, bool) else str(gpus)
    if not re.fullmatch(r"([\w.-]+:)*\d+(,([\w.-]+:)*\d+)*", text):
        raise ComputeTargetException(
            f"gpus is {gpus!r:.80}; it takes a number, or Slurm's type:number, as in 'a100:2'"
        )
    return text


def _time_limit(limit: object) -> str:
    text = "" if isinstance(limit, bool) else str(limit)
    if not _TIME.match(text):
        raise ComputeTargetException(
            f"time_limit is {limit!r:.80}; it takes minutes, or Slurm's '1:30:00' or '2-12' (days "
            "and hours)"
        )
    return text


def _extra_args(given: object) -> list[str]:
    if not isinstance(given, list | tuple) or not all(isinstance(word, str) for word in given):
        raise ComputeTargetException(
            f"extra_args is {given!r:.80}; it takes a list of options of sbatch, as in "
            "['--account=lab', '--mem=8G']"
        )
    for word in given:
        if word.partition("=")[0] in _OURS or not word.startswith("-"):
            raise ComputeTargetException(
                f"extra_args holds {word!r:.80}; write options as one word each "
                f"('--account=lab'), and leave out {', '.join(_OURS)}, which runlore sets"
            )
    if mask_words(given, ())[1]:
        raise ComputeTargetException(
            "extra_args holds what looks like a secret; a target's settings are recorded for good, "
            "and Slurm shows a job's options to others. Put it into the run's environment variables"
        )
    return list(given)
