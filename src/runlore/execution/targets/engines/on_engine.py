"""Targets on engines: an engine starts a run's supervisor on a host of its cluster.

A run is Queued from its submission until its supervisor speaks; in between, and when a supervisor
is silent, this user's readers ask the engine. What they learn becomes an event: the run is
NotResponding, waits again, or has ended, with the engine's reason where it knows one.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, ClassVar, Final, NamedTuple

from runlore.domain.definition import Definition
from runlore.domain.errors import RunloreError
from runlore.domain.events import Event, RunStatusChanged
from runlore.domain.ids import run_stream
from runlore.domain.run_commands import AddWarning, ChangeStatus, EndRun, LoseRun, PlaceRun
from runlore.domain.run_state import RunState
from runlore.domain.status import TERMINAL, Status
from runlore.engine.runs.handle import RunHandle
from runlore.engine.session import LiveSession
from runlore.exceptions import ComputeTargetException
from runlore.execution.launch import TARGET
from runlore.execution.targets import trusted
from runlore.execution.targets.attached import attached
from runlore.execution.targets.engines.engine import (
    NOT_STARTED,
    TIME_LIMIT,
    Engine,
    EngineUnavailable,
    Job,
    JobState,
    Phase,
)
from runlore.execution.targets.engines.handed_file import HandedFile, last_output
from runlore.execution.targets.engines.requeue import put_back
from runlore.execution.targets.engines.settings import CommonSettings, common_of, split
from runlore.execution.targets.target import Placement, Target
from runlore.execution.targets.this_machine import lock_folder
from runlore.storage.file_lock import unlock
from runlore.storage.presence import Heard, Presence
from runlore.storage.run_folder import RunFolder

_ASK_INTERVAL_S: Final = 1.0
_ASK_SHARE: Final = 0.05
"""A run that has waited for this long is asked about the less often: there may be thousands."""
_ASK_COSTS: Final = 10.0
"""An answer that took long is believed for this many times as long."""
_UNPLACED_S: Final = 60.0
"""A submitter places a run well before this time after recording it, if it is not killed."""
_PLACING: Final = (Status.NOT_STARTED, Status.QUEUED)

_heard: Final[dict[str, tuple[float, Sequence[Heard]]]] = {}
"""By workspace, when this process last asked the log's server whom it has heard, and its answer."""
_ANSWERS_MAX: Final = 10_000
_answers: Final[dict[tuple[str, str, int], tuple[float, JobState | None]]] = {}
"""The engines' last answers to this process, and until when they are good; a second at least."""


class _Silence(NamedTuple):
    """How long a run's supervisor was not heard of; `is_dead` if the kernel knows that it died."""

    seconds: float
    is_dead: bool = False


class EngineTarget(Target):
    """The target of one engine; `engine_class` is its kind."""

    executes_here = False
    engine_class: ClassVar[type[Engine]]

    def __init__(self, session: LiveSession, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__(session, name, settings)
        self.common, own = _parts(settings)
        self.engine = self.engine_class(own)

    @classmethod
    def checked(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        common, own = split(settings)
        defaults = CommonSettings()._asdict()
        given = {name: value for name, value in common.items() if value != defaults[name]}
        return {**cls.engine_class.checked(own), **given}

    def check_workspace(self) -> None:
        """Raise ComputeTargetException for a workspace that the cluster's hosts cannot share."""
        _refuse_folder(self.session, self.name, self.common)

    def check(self, definition: Definition) -> None:
        self.check_workspace()
        if definition.node_count != 1 and definition.distribution != "none":
            raise ComputeTargetException(
                f"node_count is {definition.node_count}; runlore starts all processes of a "
                "distributed script on one node. Leave framework and communicator out, and let the "
                "script start its processes on the allocated nodes, for example with srun"
            )
        self.engine.check(self._job("-", {}, definition))

    def prepare(
        self, run_id: str, environment: Mapping[str, str], definition: Definition
    ) -> Placement:
        folder = RunFolder(self.session.require_held(), run_id)
        mine = {
            name: value
            for name, value in environment.items()
            if not name.startswith(self.engine.own_variables)
        }
        mine[TARGET] = json.dumps([self.name, self.engine.kind, dict(self.settings)])
        mine[trusted.HANDED] = trusted.handed(self.session, attached(self.session).values())
        job = self._job(run_id, mine, definition)
        return _OnEngine(self, folder, lock_folder(folder), job, mine)

    def recorded(self) -> Sequence[Event]:
        detail = f"waits for {self.name!r} ({self.engine.kind})"
        return (RunStatusChanged(status=Status.QUEUED, detail=detail),)

    def withdraw(self, run_id: str) -> None:
        state = RunHandle(self.session, run_id).refresh()
        with suppress(EngineUnavailable):  # The supervisor finds the run canceled, and ends.
            handle = None if state is None else self._handle_of(state)
            if handle is not None:
                self.engine.cancel(handle)
        self.forget(run_id)
        RunFolder(self.session.require_held(), run_id).remove()

    def forget(self, run_id: str) -> None:
        if not self.engine.carries_secrets:
            self.handed_file(run_id).remove()

    def settle(self) -> None:
        """The engine starts what waits there."""

    def is_alive(self, run_id: str) -> bool | None:
        state = RunHandle(self.session, run_id).refresh()
        if state is None:
            return False
        if state.status in _PLACING:
            return True
        silence = self._silence(state)
        if not silence.is_dead and silence.seconds < self.common.silent_after_s:
            return True
        if self._is_too_late(silence):
            return False
        answer = self._ask(state)
        return False if answer is not None and answer.is_over else None

    def observe(self, run: RunHandle) -> None:
        state = run.refresh()
        if state is None or state.status in TERMINAL or state.definition is None:
            return
        if state.status in _PLACING:
            self._observe_waiting(run, state)
            return
        silence = self._silence(state)
        if not silence.is_dead and silence.seconds < self.common.silent_after_s:
            return
        answer = self._ask(state)
        newest = run.refresh()
        if newest is None or newest.version != state.version:
            return
        if answer is not None and answer.phase is Phase.WAITING:
            put_back(run, self.why_put_back(answer))
        elif answer is not None and answer.is_over:
            self._record_end(run, newest, answer)
        elif self._is_too_late(silence):
            run.change(LoseRun(self._silent(silence)))
        elif silence.seconds >= self.common.silent_after_s:
            if state.status is Status.CANCEL_REQUESTED:  # Nobody else will end it.
                self.engine.cancel(state.handle or "")
            elif state.status is not Status.NOT_RESPONDING:
                run.change(ChangeStatus(Status.NOT_RESPONDING, detail=self._silent(silence)))

    def end_of(self, state: RunState) -> EndRun | LoseRun | None:
        answer = self._ask(state)
        return None if answer is None or not answer.is_over else self.end_by(state, answer)

    def end_by(self, state: RunState, answer: JobState) -> EndRun | LoseRun:
        """The end of a run whose job is over, although its supervisor recorded none."""
        what = f"job {state.handle} of {self.engine.kind} is over: {answer.detail or answer.phase}"
        used_up = _has_used_up_its_time(state, self.session.log.now_us())
        if answer.canceled or (answer.code == TIME_LIMIT and used_up):
            return EndRun(Status.CANCELED)
        if answer.code is not None:
            return EndRun(Status.FAILED, {"code": answer.code, "message": what})
        if state.status in _PLACING:
            said = self._last_words(state.run_id)
            message = f"the run's supervisor was never heard of, and {what}{said}"
            return EndRun(Status.FAILED, {"code": NOT_STARTED, "message": message})
        return LoseRun(f"the run's supervisor ended without recording how the run ended; {what}")

    # --- for placements and supervisors -------------------------------------------------------

    def say_who_canceled(self, run: RunHandle, end: EndRun | LoseRun, answer: JobState) -> None:
        """Add a warning to a run that ends as canceled without having been asked to."""
        if isinstance(end, EndRun) and end.status is Status.CANCELED:
            text = f"job {run.state.handle} was ended by {self.engine.kind}: {answer.detail}"
            run.change(AddWarning("compute target", text))

    def why_put_back(self, answer: JobState) -> str:
        """The text for a run whose job waits again."""
        return f"{self.engine.kind} ended its job and will start it again: {answer.detail}"

    def handed_file(self, run_id: str) -> HandedFile:
        """The file with a run's environment. Raises ComputeTargetException without a folder."""
        return HandedFile.of(self.common.handover_folder(), self.session.uri, run_id)

    def _last_words(self, run_id: str) -> str:
        if self.engine.carries_secrets:
            return ""
        text = last_output(self.handed_file(run_id).output).strip()
        return f". Its output ends with: {text}" if text else ""

    # --- inside -------------------------------------------------------------------------------

    def _job(self, run_id: str, environment: Mapping[str, str], definition: Definition) -> Job:
        words = [
            *(self.common.python or sys.executable, "-P", "-W", "default"),
            *("-m", "runlore.entry.job", self.session.uri, run_id),
        ]
        if not self.engine.carries_secrets:
            words.append(str(self.handed_file(run_id).path))
        return Job(
            run_id=run_id,
            name=self._job_name(run_id),
            words=tuple(words),
            environment=environment if self.engine.carries_secrets else {},
            variables=definition.environment_variables,
            node_count=definition.node_count,
            max_run_duration_s=definition.max_run_duration_s,
            grace_s=self.common.grace_s,
            output=None if self.engine.carries_secrets else str(self.handed_file(run_id).output),
        )

    def _job_name(self, run_id: str) -> str:
        """The job's name: another workspace may have a run of the same id."""
        return f"runlore-{run_id}-{sha256(self.session.uri.encode()).hexdigest()[:8]}"

    def _handle_of(self, state: RunState) -> str | None:
        return state.handle or self.engine.find(self._job_name(state.run_id))

    def _observe_waiting(self, run: RunHandle, state: RunState) -> None:
        answer = self._ask(state)
        waits_s = self._since_last_event_s(state)
        newest = run.refresh()
        if newest is None or newest.version != state.version:
            return
        if answer is not None and answer.is_over:
            self._record_end(run, newest, answer)
        elif state.handle is None and waits_s > _UNPLACED_S:
            message = "the process that submitted the run ended before it had placed it"
            run.change(EndRun(Status.FAILED, {"code": NOT_STARTED, "message": message}))
            self.forget(run.id)

    def _record_end(self, run: RunHandle, state: RunState, answer: JobState) -> None:
        end = self.end_by(state, answer)
        self.say_who_canceled(run, end, answer)
        self.session.recover_values()
        run.change(end)
        self.forget(run.id)

    def _silence(self, state: RunState) -> _Silence:
        folder = RunFolder(self.session.require_held(), state.run_id)
        try:
            if folder.is_locked():
                return _Silence(0.0)
        except PermissionError:  # Another user's, whose processes know more.
            return _Silence(0.0)
        except FileNotFoundError:
            pass
        presence = self.session.log.presence
        if presence is None:  # All processes are on this machine: one without its lock is dead.
            return _Silence(folder.silence_s(), is_dead=True)
        heard = [one for one in self._heard(presence) if state.run_id in one.parts]
        if heard:
            seconds = min(math.inf if one.has_left else one.silent_s for one in heard)
            return _Silence(seconds, is_dead=seconds == math.inf)
        return _Silence(self._since_last_event_s(state))

    def _heard(self, presence: Presence) -> Sequence[Heard]:
        """All whom the log's server has heard of; asked for once for all runs of a look."""
        asked_at, heard = _heard.get(self.session.uri, (-math.inf, ()))
        if time.monotonic() >= asked_at + _ASK_INTERVAL_S:
            heard = presence.heard()
            _heard[self.session.uri] = time.monotonic(), heard
        return heard

    def _since_last_event_s(self, state: RunState) -> float:
        last = self.session.journal.facts(run_stream(state.run_id))[-1].recorded_at
        return (self.session.log.now_us() - last) / 1e6

    def _is_too_late(self, silence: _Silence) -> bool:
        return math.isfinite(silence.seconds) and silence.seconds >= self.common.lost_after_s

    def _silent(self, silence: _Silence) -> str:
        return f"nothing was heard of its supervisor for {silence.seconds:.0f} s"

    def _ask(self, state: RunState) -> JobState | None:
        """What the engine says of a run's job now; None if it does not answer, or has no job."""
        # What was said before the run's last event may be about an earlier attempt of the job.
        key = (self.session.uri, state.run_id, state.version)
        now = time.monotonic()
        next_at, answer = _answers.get(key, (-math.inf, None))
        if now < next_at:
            return answer
        interval_s = max(_ASK_INTERVAL_S, _ASK_SHARE * min(self._since_last_event_s(state), 1_200))
        try:
            handle = self._handle_of(state)
            answer = None if handle is None else self.engine.poll(handle)
        except EngineUnavailable:
            answer = None
        if len(_answers) > _ANSWERS_MAX:
            _answers.clear()
        answered = time.monotonic()  # An engine that is away must not hold up every read.
        _answers[key] = answered + max(interval_s, _ASK_COSTS * (answered - now)), answer
        return answer


class _OnEngine(Placement):
    """Holds the run's folder locked until the engine has the job: no other submission takes it."""

    def __init__(
        self,
        target: EngineTarget,
        folder: RunFolder,
        lock_fd: int,
        job: Job,
        environment: Mapping[str, str],
    ) -> None:
        self._target = target
        self._folder = folder
        self._lock_fd = lock_fd
        self._job = job
        self._environment = environment

    def announce(self) -> None:
        if not self._target.engine.carries_secrets:
            self._target.handed_file(self._job.run_id).write(self._environment)

    def place(self) -> None:
        unlock(self._lock_fd)  # A queued run needs nobody; its supervisor may be here, and locks.
        engine, run = self._target.engine, RunHandle(self._target.session, self._job.run_id)
        try:
            handle = engine.submit(self._job)
        except Exception as error:  # Another package's: whatever it raises.
            with suppress(Exception):  # It may have taken a part of it.
                left = engine.find(self._job.name)
                if left is not None:
                    engine.cancel(left)
            raise OSError(f"{engine.kind} refused the job: {error}") from error
        try:
            run.change(PlaceRun(handle))
        except RunloreError as error:
            engine.cancel(handle)
            raise OSError(
                f"job {handle} could not be recorded, and was canceled: {error}"
            ) from error

    def release(self) -> None:
        unlock(self._lock_fd)


def on_engine(engine_class: type[Engine]) -> type[EngineTarget]:
    """The kind of target that a kind of engine makes."""
    members = {"kind": engine_class.kind, "engine_class": engine_class}
    return type(f"On{engine_class.__name__}", (EngineTarget,), members)


def _parts(settings: Mapping[str, Any]) -> tuple[CommonSettings, dict[str, Any]]:
    """The common settings and the engine's own; a log may say anything."""
    names = CommonSettings._fields
    own = {name: value for name, value in settings.items() if name not in names}
    return common_of(settings), own


def _refuse_folder(session: LiveSession, name: str, common: CommonSettings) -> None:
    if session.uri.startswith("sqlite:") and not common.this_machine:
        raise ComputeTargetException(
            f"compute target {name!r} executes runs on other hosts, which cannot share workspace "
            f"{session.workspace.name!r}: its log is a SQLite file in a folder. Move it to "
            "PostgreSQL, with its history: `runlore workspace copy "
            f"{session.require_held()} 'postgresql://user@host/database?schema=name'`. If the "
            "hosts of the target are this machine, attach it with this_machine=True"
        )


def _has_used_up_its_time(state: RunState, now_us: int) -> bool:
    """Whether a run has executed for as long as it may; both times are of the log's clock."""
    limit, since = (state.definition or {}).get("max_run_duration_s"), state.running_since
    return isinstance(limit, int | float) and since is not None and now_us >= since + limit * 1e6
