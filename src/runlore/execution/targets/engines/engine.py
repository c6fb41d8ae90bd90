"""The contract of an engine: a cluster's scheduler that places the supervisors of submitted runs.

An engine only starts a command somewhere, says what became of it, and ends it. All else comes from
the workspace: the command is the run's supervisor, which records status, values, output and end
there, and sees a cancellation there. The engine is asked only about runs that have not started, and
about runs whose supervisor is silent.

A package brings a kind of engine as a subclass of `Engine`, named in the entry-point group
`runlore.targets` under the name of its kind; it must pass
`runlore.testing.targets.TargetContract`. docs/targets.md has a whole one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final, NamedTuple

from runlore.exceptions import ComputeTargetException
from runlore.execution.targets.engines.settings import CommonSettings

TIME_LIMIT: Final = "TimeLimit"
OUT_OF_MEMORY: Final = "OutOfMemory"
NODE_FAILED: Final = "NodeFailed"
PREEMPTED: Final = "Preempted"
NOT_STARTED: Final = "SupervisorNotStarted"
REQUIRED: Final = object()
"""In place of the default of a setting that must be given."""


class EngineUnavailable(ComputeTargetException):
    """The engine does not answer now; nothing is known of its jobs."""


class Phase(StrEnum):
    """How far a job is, by its engine."""

    WAITING = "waiting"
    """It has not started, or was put back into the queue."""
    EXECUTING = "executing"
    """Its command has been started, and has not ended."""
    ENDED = "ended"
    UNKNOWN = "unknown"
    """The engine does not know the job: it has forgotten it, or never had it."""


class JobState(NamedTuple):
    """What an engine says of a job.

    `detail` is in the engine's words, for people. Of an ended job, `code` is the cause, if that was
    not the command's own doing: TIME_LIMIT, OUT_OF_MEMORY, NODE_FAILED, PREEMPTED, or another word
    that becomes the code of the run's error. `canceled` says that somebody canceled the job.
    """

    phase: Phase
    detail: str = ""
    code: str | None = None
    canceled: bool = False

    @property
    def is_over(self) -> bool:
        """Whether the command does not execute, and never will."""
        return self.phase in (Phase.ENDED, Phase.UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What an engine is to start.

    `words` are the command line; anyone may see them. `environment` holds variables for the
    command's process that nobody else may see: it is empty unless the kind `carries_secrets`.
    `variables` are those of the run's configuration that are no secrets; they reach the command in
    any case, and are here for engines whose own tasks get them as well.
    `node_count` nodes are to be allocated; the command is started once, on the first.
    `max_run_duration_s` is enforced by the command itself; None for no limit. `name` is for people
    and for `Engine.find`: no other job of the user has it. `output` is the path of the file for the
    command's output, if the hosts share a folder: it tells why a command could not begin.
    """

    run_id: str
    name: str
    words: tuple[str, ...]
    environment: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    node_count: int = 1
    max_run_duration_s: float | None = None
    grace_s: float = 10.0
    output: str | None = None


class Engine(ABC):
    """A cluster's scheduler, as one target's settings address it. Made for each use.

    `settings` are those that `checked` returned. Each method may take seconds, and raises
    EngineUnavailable if the engine does not answer.
    """

    kind: ClassVar[str]

    carries_secrets: ClassVar[bool] = False
    """Whether `submit` hands `Job.environment` over by a means of the engine that keeps secrets.

    Otherwise it travels in a file of mode 0600 in the folder `handover` of the target's settings,
    which the cluster's hosts must share.
    """

    own_variables: ClassVar[tuple[str, ...]] = ()
    """How the names of the variables begin that the engine sets in each job: none is inherited."""

    stops_by_signal: ClassVar[bool] = False
    """Whether TERM to the command means that somebody stopped the job.

    For engines whose `poll` says so only when all of the job's processes have ended.
    """

    takes: ClassVar[Mapping[str, Any]] = {}
    """The kind's own settings with their defaults, REQUIRED for those that have none."""

    handle_variable: ClassVar[str | None] = None
    """The variable by which a process of a job knows the engine's name for it."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    @classmethod
    def checked(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The kind's settings with defaults filled in; those of all engines are taken out before.

        They are recorded, so they hold no secret. Raises ComputeTargetException for invalid ones:
        this one for unknown and missing names.
        """
        names = ", ".join(cls.takes)
        unknown = sorted(set(settings) - set(cls.takes))
        if unknown:
            raise ComputeTargetException(
                f"a target of kind {cls.kind!r} has no setting {unknown[0]!r:.80}; it takes "
                f"{names}, and as all clusters {', '.join(CommonSettings._fields)}"
            )
        given = {**cls.takes, **settings}
        missing = [name for name, value in given.items() if value is REQUIRED]
        if missing:
            raise ComputeTargetException(
                f"a target of kind {cls.kind!r} needs the setting {missing[0]!r}; it takes {names}"
            )
        return given

    def check(self, job: Job) -> None:
        """Raise ComputeTargetException if the engine cannot give the job what it asks for.

        Called before anything is recorded. This one refuses more than one node.
        """
        if job.node_count != 1:
            raise ComputeTargetException(
                f"node_count is {job.node_count}; compute targets of kind {self.kind!r} give a run "
                "one node"
            )

    @abstractmethod
    def submit(self, job: Job) -> str:
        """Let the engine start the job's command; returns the engine's name for the job.

        Raises any exception if the engine refuses: its text is the run's error.
        """

    @abstractmethod
    def poll(self, handle: str) -> JobState:
        """What the engine knows of a job."""

    def poll_told(self, handle: str) -> JobState:
        """What the engine knows of a job whose command it may just have sent TERM.

        Asked by the command itself. Override it where `poll` tells the reason only when all of the
        job's processes have ended. A job that waits is one that will be started again.
        """
        return self.poll(handle)

    @abstractmethod
    def cancel(self, handle: str) -> None:
        """End the job, wherever it is: TERM to its processes, then KILL. Idempotent.

        An ended or unknown job is left alone.
        """

    def find(self, name: str) -> str | None:
        """The engine's handle of the job of this name, if it has one.

        Asked for when the submitter has died, or `submit` has raised: what it left is canceled.
        """
        return None

    def own_handle(self, environment: Mapping[str, str]) -> str | None:
        """The engine's name for the job that a process with this environment belongs to."""
        return None if self.handle_variable is None else environment.get(self.handle_variable)
