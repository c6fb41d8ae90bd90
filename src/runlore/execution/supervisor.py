"""The supervisor of one run: it executes the script and records what happens.

It sees a cancellation, or an end that another process recorded, by looking at the run's stream.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from runlore.domain import run_commands as commands
from runlore.domain.compute_target import LOCAL
from runlore.domain.definition import SUPERVISORS_OWN, Definition
from runlore.domain.errors import ChangeRefusedError, RunloreError
from runlore.domain.run_state import Exit, RunState
from runlore.domain.status import TERMINAL, Status
from runlore.engine.capture.parts import BY_DEFAULT, Part, parts_of
from runlore.engine.runs.handle import RunHandle
from runlore.execution.kept_files import keep_files_of
from runlore.execution.launch import Handed
from runlore.execution.leash import Leash
from runlore.execution.masking import revealed
from runlore.execution.outcome import error_of, is_good
from runlore.execution.processes import mark_of
from runlore.execution.script import Script
from runlore.execution.targets.attached import grace_s_of
from runlore.execution.targets.engines.requeue import put_back
from runlore.execution.targets.queue import digest_of_state
from runlore.storage.errors import LogReadOnly, LogUnavailable
from runlore.storage.held_folder import FolderMoved
from runlore.storage.presence import BEAT_S
from runlore.storage.run_folder import HEARTBEAT_S, RunFolder
from runlore.storage.system_errors import NO_ROOM, TOO_MANY_FILES, Fault, fault_of

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession

_T = TypeVar("_T")

_LOOK_FIRST_S: Final = 0.05
_LOOK_LAST_S: Final = 0.25
_LOOK_AROUND_S: Final = 1.0
_YOUNG_S: Final = 60.0
_ROOM_MAX_S: Final = 60.0
_ROOM_INTERVAL_S: Final = 0.25


def _nothing() -> None:
    """There is nothing else to look after."""


def _nothing_known(is_ours: bool) -> ToldWhy:
    return None


def _never() -> bool:
    return False


class ToldToEnd(Exception):
    """Raised in the supervisor's process when it gets SIGTERM."""


class PutBack(NamedTuple):
    """The engine ends the job, and starts it again later."""

    detail: str


ToldWhy = commands.EndRun | commands.LoseRun | PutBack | None
"""Why the place of a run ends it: the end to record, or None if that is not known."""


class Supervisor:
    """Takes care of one run, from Preparing to its end.

    `handed` is what the process was started with for this run. `beat` tells other machines that the
    supervisor is alive; `look` is called about once a second while the script executes. `why_told`
    is asked if somebody else sent a signal that ends the supervisor (True), or the script (False).
    A log's server is told every `beat_s` seconds that the supervisor is alive. A run that others
    took for lost goes on if it `may_come_back`; otherwise its script is ended.
    """

    def __init__(
        self,
        session: LiveSession,
        run: RunHandle,
        leash: Leash,
        handed: Handed,
        beat: Callable[[], None],
        look: Callable[[], None] = _nothing,
        why_told: Callable[[bool], ToldWhy] = _nothing_known,
        beat_s: float = BEAT_S,
        may_come_back: Callable[[], bool] = _never,
    ) -> None:
        self._session = session
        self._run = run
        self._folder = RunFolder(session.require_held(), run.id)
        self._leash = leash
        self._beat_now = beat
        self._look_now = look
        self._why_told = why_told
        self._beat_s = beat_s
        self._may_come_back = may_come_back
        self._looked = time.monotonic()
        state = run.state
        assert state.definition is not None, "only submitted runs get a supervisor"
        definition, self._environment = revealed(
            Definition.model_validate(state.definition),
            {**handed.environment, **handed.overrides},
        )
        if definition.interpreter == SUPERVISORS_OWN:
            definition = definition.model_copy(update={"interpreter": sys.executable})
        self._definition = definition
        self._is_as_ordered = handed.digest == digest_of_state(state)
        self._manifest = state.snapshot_manifest
        self._grace_s = grace_s_of(session, state.target or LOCAL)
        self._script = Script(self._folder, self._definition)
        self._phase = Status.STARTING
        self._beaten = 0.0
        self._files_are_kept = True  # There are none yet.
        self._room_until: float | None = None

    def execute(self) -> bool:
        """Execute the run, then remove its folder. Returns False if the supervisor must end.

        If the run's end could not be recorded, or its files not be kept, the folder stays:
        readers do both as soon as they can.
        """
        goes_on = True
        self._session.heartbeat.supervise(self._run.id, self._beat_s)
        try:
            self._execute()
        except Exception as error:  # Any error at all: a script must not go on unsupervised.
            goes_on = not isinstance(error, ToldToEnd)
            self._give_up(error)
        finally:
            self._leash.let_go()
        if self._files_are_kept and self._newest().status in TERMINAL:
            self._folder.remove()
        return goes_on

    def _give_up(self, error: Exception) -> None:
        if not isinstance(error, RunloreError | OSError | ToldToEnd):
            traceback.print_exc()
        self._script.stop(self._grace_s)
        message, told = str(error) or type(error).__name__, None
        if isinstance(error, ToldToEnd):
            message, told = "the supervisor was told to end (SIGTERM)", self._why_told(True)
        if isinstance(told, PutBack):
            put_back(self._run, told.detail)
            return
        if not self._files_are_kept:
            try:
                self._keep_files()
            except (RunloreError, OSError) as problem:
                sys.stderr.write(f"files were not kept yet: {problem}\n")
        if isinstance(told, commands.EndRun):
            self._end(told.status, told.error)
        else:
            self._end(Status.FAILED, {"code": "SupervisorFailed", "message": message})

    def _execute(self) -> None:
        if self._is_unwanted():
            self._end(Status.CANCELED)
            return
        try:
            self._prepare()
            if self._is_unwanted():
                self._end(Status.CANCELED)
                return
            self._files_are_kept = False
            # Before the start: if the supervisor is killed now, the script must end too.
            self._leash.hold(self._run.id, (), self._grace_s)
            self._script.start(self._script_environment())
        except (RunloreError, OSError) as error:
            self._script.stop(self._grace_s)  # Some of several processes may have started.
            self._keep_files()
            self._end(Status.FAILED, {"code": "ExecutionFailed", "message": str(error)})
            return
        self._leash.hold(self._run.id, self._script.groups, self._grace_s)
        oom_kills = _oom_kills()
        try:
            self._until_the_end(oom_kills)
        except FolderMoved:
            self._leave_end(oom_kills)

    def _until_the_end(self, oom_kills: int) -> None:
        self._enter(Status.RUNNING)
        with suppress(RunloreError, OSError):  # The script goes on without it.
            # Imported here: the run's first event does not wait for it.
            from runlore.engine.capture.submitted import record_submitted

            record_submitted(self._run, self._run.state, self._environment)
        if Part.SYSTEM in parts_of(None, BY_DEFAULT, self._environment):
            self._session.sample_system(self._run.id, pid=self._script.groups[0])
        ended_elsewhere = self._watch()
        if not ended_elsewhere:
            self._raise_if_told()
            self._enter(Status.FINALIZING)
        self._record(self._script.stop(self._grace_s))
        self._leash.let_go()  # The numbers of the ended groups may be used again.
        self._keep_files()
        if not ended_elsewhere:
            self._end(*self._outcome(_oom_kills() > oom_kills))

    def _raise_if_told(self) -> None:
        """Raise ToldToEnd if a signal that ended the script came from the place of the run."""
        if any(ended.signal for ended in self._script.exits) and self._why_told(False) is not None:
            raise ToldToEnd

    def _leave_end(self, oom_kills: int) -> None:
        """Leave the end in the folder that was moved: it is recorded where that is opened next.

        The files of the run are kept then as well.
        """
        ended = self._script.ended
        self._script.stop(self._grace_s)
        self._leash.let_go()
        outcome = self._outcome(_oom_kills() > oom_kills) if ended else (Status.CANCELED, None)
        self._folder.keep_end(*outcome)

    def _prepare(self) -> None:
        from runlore.storage.snapshots import restore_tree

        self._enter(Status.PREPARING)
        if not self._is_as_ordered:
            raise RunloreError(
                "the script, arguments or source in the log are not those that were submitted, so "
                "nothing was executed; submit it again"
            )
        missing = [
            name for name in self._definition.secret_variables if name not in self._environment
        ]
        missing += [f"the argument {name}" for name in self._definition.secret_arguments]
        if missing:
            raise RunloreError(
                f"the run needs {', '.join(missing)}, whose values are kept nowhere, and the "
                "process that started it has none; submit it again from a process that has"
            )
        assert self._manifest is not None, "a submitted run has a snapshot"
        restore_tree(self._manifest, self._run.artifacts, self._folder.source)
        for name in ("outputs", *self._definition.watched):
            self._folder.log_path(name).make_folder(parents=True)

    def _script_environment(self) -> dict[str, str]:
        state = self._run.state
        return {
            "PYTHONUNBUFFERED": "1",  # Output shows at once.
            **self._environment,
            "RUNLORE_WORKSPACE_URI": self._session.uri,
            **mark_of(self._folder),
            "RUNLORE_EXPERIMENT": state.experiment_name,
            "RUNLORE_PARENT_RUN_ID": state.parent_id or "",
            "RUNLORE_ROOT_RUN_ID": state.root_id,
            "RUNLORE_TARGET": state.target or "",
            "RUNLORE_SNAPSHOT_ID": state.snapshot_id or "",
        }

    def _watch(self) -> bool:
        """Wait until the script has ended or must end. True if another process recorded the end."""
        started = time.monotonic()
        limit = self._definition.max_run_duration_s
        while True:
            age = time.monotonic() - started
            look = _LOOK_FIRST_S if age < _YOUNG_S else _LOOK_LAST_S
            if limit is not None:
                look = min(look, max(0.0, limit - age))
            self._record(self._script.wait(look))
            if self._script.ended:
                return False
            self._beat()
            self._look()
            status = self._status_if_there()
            if status in TERMINAL:
                return True
            if status is Status.CANCEL_REQUESTED:
                return False
            if status is Status.NOT_RESPONDING:
                self._enter(self._phase)  # A reader on another machine had heard nothing of us.
            if limit is not None and time.monotonic() - started >= limit:
                self._cancel_for(f"it ran longer than max_run_duration_seconds={limit:g}")
                return False

    def _outcome(self, out_of_memory: bool) -> tuple[Status, dict[str, str] | None]:
        bad = [ended for ended in self._script.exits if not is_good(ended)]
        if not bad:
            return Status.COMPLETED, None
        first = bad[0]
        tail = self._script.tail(first.rank)
        ranks = self._definition.ranks
        return Status.FAILED, error_of(first, ranks, tail, out_of_memory=out_of_memory)

    def _keep_files(self) -> None:
        """Keep outputs and logs in the artifact store; warn of files that cannot be kept."""
        outputs = ("outputs",) if self._definition.collect_outputs else ()
        names = (*self._definition.watched, *outputs, "user_logs")
        for problem in self._with_room(lambda: keep_files_of(self._run, self._folder, names)):
            self._warn("outputs", problem)
        self._files_are_kept = True

    def _newest(self) -> RunState:
        """The newest state; a loss that silence alone suggested is taken back."""
        state = self._run.fetch()
        if state.lost and self._may_come_back():
            self._run.change(commands.FindRun())
            state = self._run.fetch()
        return state

    def _status_if_there(self) -> Status | None:
        """The newest status; None while the workspace is not at its place, which ends no script."""
        try:
            return self._newest().status
        except FolderMoved:
            return None

    def _is_unwanted(self) -> bool:
        return self._with_room(self._newest).status in (*TERMINAL, Status.CANCEL_REQUESTED)

    def _enter(self, phase: Status) -> None:
        """Record the phase, unless the run was canceled or ended in the meantime."""
        self._phase = phase
        if not self._is_unwanted():
            self._change(commands.ChangeStatus(phase))

    def _end(self, status: Status, error: Mapping[str, str] | None = None) -> None:
        self._session.samples.leave(self._run.id)
        # Values that the script's processes logged and did not write belong before the end.
        self._session.recover_values(waits=True)
        self._change(commands.EndRun(status, error), flush_values=True)

    def _cancel_for(self, reason: str) -> None:
        self._warn("supervisor", f"the run was canceled: {reason}")
        self._change(commands.RequestCancel())

    def _record(self, exits: list[Exit]) -> None:
        for rank, exit_code, signal_name in exits:
            self._change(commands.RecordExit(rank, exit_code, signal_name))

    def _warn(self, source: str, message: str) -> None:
        self._change(commands.AddWarning(source, message))

    def _change(self, command: commands.Command, *, flush_values: bool = False) -> None:
        try:
            self._with_room(lambda: self._run.change(command, flush_values=flush_values))
        except ChangeRefusedError as refused:  # The refusal is recorded; the run's end stands.
            sys.stderr.write(f"{refused}\n")

    def _with_room(self, write: Callable[[], _T]) -> _T:
        """Call `write`, again for up to a minute in all while the disk is full or the log busy."""
        while True:
            try:
                return write()
            except (RunloreError, OSError) as error:
                now = time.monotonic()
                self._room_until = self._room_until or now + _ROOM_MAX_S
                if not _is_temporary(error) or now >= self._room_until:
                    raise
            time.sleep(_ROOM_INTERVAL_S)
            self._beat()

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten > HEARTBEAT_S:
            self._beaten = now
            self._beat_now()

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked > _LOOK_AROUND_S:
            self._looked = now
            with suppress(RunloreError, OSError):  # What else there is to do does not end a run.
                self._look_now()


def _is_temporary(error: Exception) -> bool:
    """Whether the disk is full or the log busy, say: not a reason to end a script."""
    if isinstance(error, OSError):
        return fault_of(error) in NO_ROOM | TOO_MANY_FILES | {Fault.FAILING}
    return isinstance(error, LogUnavailable) and not isinstance(error, LogReadOnly)


def _oom_kills() -> int:
    """How often the system killed a process of our control group because memory ran out."""
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="utf-8").strip().rpartition(":")[2]
        for folder in (Path("/sys/fs/cgroup") / own.lstrip("/"), Path("/sys/fs/cgroup")):
            events = folder / "memory.events"
            if events.exists():
                counts = dict(line.split() for line in events.read_text().splitlines())
                return int(counts.get("oom_kill", 0))
    except (OSError, ValueError):
        pass
    return 0
