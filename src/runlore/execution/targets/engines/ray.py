"""Ray as a compute target: each run is a job of the cluster, submitted over plain HTTP.

Ray sees the supervisor's command line, the variables of the run's configuration that are no
secrets, and the run's id. It shows these to all who reach its dashboard; everything else travels in
a file of mode 0600. Jobs that ask for nothing (no CPU, GPU, memory or resource) execute on the
head's own machine, all at once.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from runlore.domain.secrets import looks_secret
from runlore.exceptions import ComputeTargetException
from runlore.execution.targets.engines.engine import (
    NODE_FAILED,
    Engine,
    Job,
    JobState,
    Phase,
)
from runlore.execution.targets.engines.ray_jobs import Job as RayJob
from runlore.execution.targets.engines.ray_jobs import JobStatus, NewJob, RayJobs, checked_address

_NAME: Final = "runlore_name"
_ATTEMPT: Final = "runlore_attempt"
_NAME_MAX_CHARS: Final = 150
_JOB_CONFIG: Final = "RAY_JOB_CONFIG_JSON_ENV_VAR"
_STEERING: Final = ("HOME", "LD_", "PATH", "PYTHON", "RAY_", "RUNLORE_", "XDG_")
_OURS_IN_RUNTIME_ENV: Final = {
    "env_vars": "set the run configuration's environment_variables",
    "working_dir": "a run executes in its own copy of its source_directory",
}
_CODES: Final = {
    "JOB_SUPERVISOR_ACTOR_DIED": NODE_FAILED,
    "JOB_SUPERVISOR_ACTOR_START_TIMEOUT": "NoResources",
    "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE": "NoResources",
    "RUNTIME_ENV_SETUP_FAILURE": "RuntimeEnvironmentFailed",
}
"""Our codes for Ray's types of errors that are not the command's own doing."""


class Ray(Engine):
    """The jobs of a Ray cluster, addressed by its dashboard.

    `cpus`, `gpus`, `memory_gb` and `resources` are kept free for each run; the job waits until a
    node has them. `runtime_env` is passed on to Ray (`pip`, `conda`, `py_modules` and the like).
    """

    kind = "ray"
    own_variables = ("RAY_", "CUDA_VISIBLE_DEVICES")
    stops_by_signal = True
    takes: ClassVar = {
        "address": None,
        "cpus": 1.0,
        "gpus": 0.0,
        "memory_gb": None,
        "resources": {},
        "runtime_env": {},
    }

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(self.checked(settings))  # A log may say anything.

    @classmethod
    def checked(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        given = super().checked(settings)
        try:
            address = checked_address(given["address"])
        except ValueError as error:
            raise ComputeTargetException(f"address cannot be used: {error}") from None
        memory_gb = given["memory_gb"]
        return {
            "address": address,
            "cpus": _amount("cpus", given["cpus"]),
            "gpus": _amount("gpus", given["gpus"]),
            "memory_gb": None if memory_gb is None else _amount("memory_gb", memory_gb),
            "resources": _resources(given["resources"]),
            "runtime_env": _runtime_env(given["runtime_env"]),
        }

    def check(self, job: Job) -> None:
        if job.node_count != 1:
            raise ComputeTargetException(
                f"node_count is {job.node_count}; Ray starts a job on one node. Leave node_count "
                "at 1, and let the script start Ray tasks or actors, which use the other nodes"
            )

    def submit(self, job: Job) -> str:
        attempt = os.urandom(8).hex()
        new = NewJob(
            # Ray names files after it.
            submission_id=f"{job.name[:_NAME_MAX_CHARS]}-{attempt}",
            # Without exec the shell would be the job, and the supervisor its child.
            entrypoint=f"exec {shlex.join(job.words)}",
            runtime_env={**self.settings["runtime_env"], "env_vars": _for_tasks(job.variables)},
            metadata={_NAME: job.name, _ATTEMPT: attempt},
            cpus=self.settings["cpus"],
            gpus=self.settings["gpus"],
            memory_nbytes=_nbytes(self.settings["memory_gb"]),
            resources=self.settings["resources"],
        )
        self._jobs.submit(new)
        return new.submission_id

    def poll(self, handle: str) -> JobState:
        job = self._jobs.find(handle)
        if job is None:
            return JobState(Phase.UNKNOWN, "the cluster does not know it; its head was restarted")
        match job.status:
            case JobStatus.PENDING:
                return JobState(Phase.WAITING, job.message)
            case JobStatus.RUNNING:
                return JobState(Phase.EXECUTING, job.message)
            case JobStatus.STOPPED:
                return JobState(Phase.ENDED, job.message, canceled=True)
            case _:
                return JobState(Phase.ENDED, _reason(job), _CODES.get(job.error_type))

    def cancel(self, handle: str) -> None:
        self._jobs.stop(handle)

    def find(self, name: str) -> str | None:
        job = self._jobs.newest({_NAME: name})
        return None if job is None else job.submission_id

    def own_handle(self, environment: Mapping[str, str]) -> str | None:
        try:
            handle = json.loads(environment[_JOB_CONFIG])["metadata"]["job_submission_id"]
        except (KeyError, TypeError, ValueError):
            return None
        return handle if isinstance(handle, str) else None

    @property
    def _jobs(self) -> RayJobs:
        return RayJobs(self.settings["address"])


def _for_tasks(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables without those that would change how Ray's worker or the supervisor starts.

    The script gets these as well, but from the supervisor.
    """
    return {name: value for name, value in variables.items() if not name.startswith(_STEERING)}


def _reason(job: RayJob) -> str:
    """Why a job has ended. Ray quotes the output of a command that failed."""
    if job.exit_code is None:
        return job.message
    said = f": {job.last_line}" if job.exit_code and job.last_line != job.message else ""
    return f"its command ended with exit code {job.exit_code}{said}"


def _amount(name: str, value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= float(str(value)) < 1e6:
        raise ComputeTargetException(f"{name} is {value!r:.80}; it takes a number from 0")
    return float(str(value))


def _nbytes(memory_gb: float | None) -> int | None:
    return None if memory_gb is None else int(memory_gb * 1e9)


def _resources(given: object) -> dict[str, float]:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ComputeTargetException(
            f"resources is {given!r:.80}; it takes a dict of Ray's custom resources, such as "
            "{'tpu': 1}"
        )
    return {name: _amount(f"resources[{name!r}]", value) for name, value in given.items()}


def _runtime_env(given: object) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ComputeTargetException(
            f"runtime_env is {given!r:.80}; it takes a dict, such as {{'pip': ['torch']}}"
        )
    for name, instead in _OURS_IN_RUNTIME_ENV.items():
        if name in given:
            raise ComputeTargetException(f"runtime_env holds {name!r}: leave it out; {instead}")
    try:
        checked: dict[str, Any] = json.loads(json.dumps(dict(given)))
    except (TypeError, ValueError) as error:
        raise ComputeTargetException(f"runtime_env is not JSON: {error}") from None
    if any(map(looks_secret, _texts(checked))):
        raise ComputeTargetException(
            "runtime_env holds what looks like a secret, and both the log and Ray's dashboard show "
            "it: leave it out, and set it up on the cluster's hosts (a pip.conf, say)"
        )
    return checked


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield from value.split()
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)
