"""Ray's Jobs API over plain HTTP: to submit a job to a cluster's head, ask about it, and stop it.

https://docs.ray.io/en/latest/cluster/running-applications/job-submission/openapi.html. No package
of Ray is needed. A head may answer anything: what is shown of an answer is one line, escaped.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from runlore.domain.visible_text import visible
from runlore.exceptions import ComputeTargetException
from runlore.execution.targets.engines import http_api
from runlore.execution.targets.engines.engine import EngineUnavailable
from runlore.execution.targets.engines.http_api import HttpApi, Reply, lines, shown, token_in
from runlore.storage.web_request import NoAnswer

_TIMEOUT_S: Final = 10.0
_SUBMIT_TIMEOUT_S: Final = 60.0  # The first job of a new cluster took 3 s on a busy machine.
_RAYS_LINE: Final = "Running entrypoint for job "


class RayError(ComputeTargetException):
    """A Ray cluster did not do what it was asked for. The message is a sentence."""


class RayUnreachable(RayError, EngineUnavailable):
    """Nothing is known: no answer came, or one that does not come from a Ray head."""


class JobExists(RayError):
    """The cluster has another job of this id."""


class JobStatus(StrEnum):
    """Ray's words for the states of a job."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def is_over(self) -> bool:
        """Whether the job has ended, so that its status will not change any more."""
        return self not in (JobStatus.PENDING, JobStatus.RUNNING)


class Job(NamedTuple):
    """A job as its cluster knows it, in words of Ray's that are safe to show.

    `message` is the first line of Ray's, `last_line` its last: of a command that failed, that is
    the end of its output.
    """

    submission_id: str
    status: JobStatus
    message: str
    last_line: str
    error_type: str
    exit_code: int | None
    metadata: Mapping[str, str]
    started_at_ms: int = 0


class NewJob(NamedTuple):
    """A job to be submitted. Everybody who reaches the cluster sees all of it."""

    submission_id: str
    entrypoint: str
    runtime_env: Mapping[str, Any] = {}
    metadata: Mapping[str, str] = {}
    cpus: float | None = None
    gpus: float | None = None
    memory_nbytes: int | None = None
    resources: Mapping[str, float] = {}

    def document(self) -> dict[str, Any]:
        """The job as the API takes it. Without resources it goes to the head's own machine."""
        given = {
            "submission_id": self.submission_id,
            "entrypoint": self.entrypoint,
            "runtime_env": dict(self.runtime_env),
            "metadata": dict(self.metadata),
            "entrypoint_num_cpus": self.cpus,
            "entrypoint_num_gpus": self.gpus,
            "entrypoint_memory": self.memory_nbytes,
            "entrypoint_resources": dict(self.resources) or None,
        }
        return {name: value for name, value in given.items() if value is not None}


class RayJobs:
    """The jobs of the Ray cluster whose head answers at an address, such as http://ray-head:8265.

    If the cluster asks for a token, it is the one that Ray's own client would send. Every call is
    one request, or two, each with a deadline. Raises RayUnreachable if no sensible answer comes.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_s: float = _TIMEOUT_S,
        submit_timeout_s: float = _SUBMIT_TIMEOUT_S,
    ) -> None:
        self.address = checked_address(address)
        self._api = HttpApi(self.address, token=_token, timeout_s=timeout_s)
        self._submit_timeout_s = submit_timeout_s

    def version(self) -> str:
        """The version of Ray on the head."""
        status, document = reply = self._ask("GET", "/api/version")
        version = document.get("ray_version") if status == 200 else None
        if not isinstance(version, str):
            raise self._strange(reply)
        return shown(version)

    def submit(self, job: NewJob) -> None:
        """Submit a job. Idempotent, as its id and entrypoint tell whether the cluster has it.

        Raises JobExists if the cluster has another job of this id, RayError if it does not want
        the job, RayUnreachable if it is not known whether it has it.
        """
        try:
            status, document = reply = self._ask(
                "POST", "/api/jobs/", job.document(), self._submit_timeout_s
            )
        except RayUnreachable:
            # The answer may have been lost after the job was taken.
            if self.has(job):
                return
            raise
        if status == 200 and document.get("submission_id") == job.submission_id:
            return
        # Ray answers 500 and a traceback when it has a job of this id, perhaps from a first
        # attempt of ours whose answer was lost.
        found = None if status in (400, 401, 403, 422) else self.find(job.submission_id)
        if found is not None and found.metadata == job.metadata:
            return
        if found is not None:
            raise JobExists(f"Ray at {self.address} has another job {visible(job.submission_id)!r}")
        if 200 <= status < 400:
            raise self._strange(reply)
        raise self._refused(reply, "to run the job")

    def has(self, job: NewJob) -> bool:
        """Whether the cluster has this very job. Raises RayUnreachable if it does not say."""
        found = self.find(job.submission_id)
        return found is not None and found.metadata == job.metadata

    def find(self, submission_id: str) -> Job | None:
        """The job of this id; None if the cluster does not know it, after a restart, say."""
        status, document = reply = self._ask("GET", f"/api/jobs/{quote(submission_id, safe='')}")
        if status == 404 and _is_rays_not_found(document):
            return None
        if status != 200:
            raise self._unexpected(reply)
        job = _job_of(document)
        if job is None or job.submission_id != submission_id:
            raise self._strange(reply)
        return job

    def newest(self, metadata: Mapping[str, str]) -> Job | None:
        """The newest job that has all of this metadata; None if there is none."""
        status, document = reply = self._ask("GET", "/api/jobs/")
        if status != 200 or not isinstance(document.get("list"), list):
            raise self._unexpected(reply)
        jobs = [_job_of(one) for one in document["list"] if isinstance(one, dict)]
        ours = [job for job in jobs if job and metadata.items() <= job.metadata.items()]
        return max(ours, key=lambda job: job.started_at_ms, default=None)

    def stop(self, submission_id: str) -> None:
        """Ask the cluster to stop a job: TERM, then KILL after the cluster's own time (3 s).

        One that waits for resources stays PENDING until it gets them, and is stopped then. Does
        nothing if the job has ended or the cluster does not know it.
        """
        status, document = reply = self._ask(
            "POST", f"/api/jobs/{quote(submission_id, safe='')}/stop", {}
        )
        known = status == 200 and isinstance(document.get("stopped"), bool)
        if not known and not (status == 404 and _is_rays_not_found(document)):
            raise self._unexpected(reply)

    # --- inside -------------------------------------------------------------------------------

    def _ask(
        self, method: str, path: str, document: object = None, timeout_s: float | None = None
    ) -> Reply:
        try:
            return self._api.answer(method, path, document, timeout_s)
        except NoAnswer as none:
            raise RayUnreachable(f"Ray at {self.address} cannot be asked: {none}") from None

    def _unexpected(self, reply: Reply) -> RayError:
        if 200 <= reply.status < 400 or reply.status == 404:
            return self._strange(reply)
        return self._refused(reply, "to answer", RayUnreachable)

    def _refused(self, reply: Reply, what: str, kind: type[RayError] = RayError) -> RayError:
        hint = ""
        if reply.status in (401, 403):
            hint = (
                "; it wants a token: set RAY_AUTH_MODE=token, and write the token to "
                "~/.ray/auth_token, or set RAY_AUTH_TOKEN_PATH"
            )
            kind = RayError
        reason = f": {reply.last_line}" if reply.last_line else ""
        return kind(f"Ray at {self.address} refuses {what} ({reply.status}{reason}){hint}")

    def _strange(self, reply: Reply) -> RayUnreachable:
        if 300 <= reply.status < 400:
            return RayUnreachable(
                f"{self.address} answers {reply.status}: redirects are not followed, so attach the "
                "target with the address that it leads to"
            )
        return RayUnreachable(
            f"{self.address} does not answer as a Ray head does ({reply.status}: "
            f"{reply.last_line or 'nothing'}); attach the target with the address of the "
            "cluster's dashboard, such as http://ray-head:8265"
        )


def checked_address(address: object) -> str:
    """The address of a head without a slash at its end. Raises ValueError, which says why not."""
    return http_api.checked_address(
        address,
        of="the cluster's dashboard, such as http://ray-head:8265",
        token="RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token",
    )


def _token() -> str:
    """The token that Ray's own client would send, from this user's environment or home.

    https://docs.ray.io/en/latest/ray-security/token-auth.html
    """
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return ""
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    try:
        found = Path(path) if path else Path.home() / ".ray" / "auth_token"
        return os.environ.get("RAY_AUTH_TOKEN") or token_in(found)()
    except (ComputeTargetException, RuntimeError):  # There is none, or no home.
        return ""


def _is_rays_not_found(document: Mapping[str, Any]) -> bool:
    """Whether a 404 is Ray's word for an unknown job, and not another server's for its path."""
    text = document.get("text")
    return isinstance(text, str) and text.startswith("Job ") and "does not exist" in text


def _job_of(document: Mapping[str, Any]) -> Job | None:
    submission_id, status = document.get("submission_id"), document.get("status")
    if not isinstance(submission_id, str) or status not in set(JobStatus):
        return None
    exit_code, metadata = document.get("driver_exit_code"), document.get("metadata")
    # Ray writes its own line about the command's start when that may have failed already.
    said = [line for line in lines(document.get("message")) if not line.startswith(_RAYS_LINE)]
    started_at_ms = document.get("start_time")
    return Job(
        submission_id,
        JobStatus(status),
        shown(said[0]) if said else "",
        shown(said[-1]) if said else "",
        shown(document.get("error_type") or ""),
        exit_code if isinstance(exit_code, int) else None,
        {str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {},
        started_at_ms if isinstance(started_at_ms, int) else 0,
    )
