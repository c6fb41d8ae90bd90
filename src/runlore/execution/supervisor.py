"""The process that executes one submitted run after the other and records what becomes of them.

    python -m runlore.execution.supervisor <uri> <run id> <lock fd> [<pool> <slot> <slot fd>]

It is started apart (`launch`), holds the run's lock as long as it takes care of it, and sees a
cancellation, or an end that somebody else recorded, by looking into the run's stream. On the slot
of a pool it goes on with the oldest queued run, until there is none.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from runlore.domain import run as commands
from runlore.domain.definition import Definition
from runlore.domain.errors import ChangeRefusedError, RunloreError
from runlore.domain.run_state import Exit, RunState
from runlore.domain.status import TERMINAL, Status
from runlore.engine import places as location
from runlore.engine.runs.files import keep_folders
from runlore.engine.runs.handle import RunHandle
from runlore.execution.launch import PoolSlot, split_environment
from runlore.execution.leash import Leash
from runlore.execution.outcome import error_of, is_good
from runlore.execution.script import Script, adopt_orphans
from runlore.storage.errors import DiskFull, LogBusy
from runlore.storage.file_lock import unlock
from runlore.storage.run_folder import HEARTBEAT_S, RunFolder, beat

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession

_T = TypeVar("_T")

_LOOK_FIRST_S: Final = 0.05
_LOOK_LAST_S: Final = 0.25
_YOUNG_S: Final = 60.0
_ROOM_MAX_S: Final = 60.0
_ROOM_INTERVAL_S: Final = 0.25


class _Ended(Exception):
    """The supervisor itself was told to end (SIGTERM)."""


class Supervisor:
    """Takes care of one run, from Preparing to its end."""

    def __init__(
        self,
        session: LiveSession,
        run_id: str,
        lock_fd: int,
        leash: Leash,
        environment: Mapping[str, str],
    ) -> None:
        self._session = session
        self._run = RunHandle.existing(session, run_id)
        self._folder = RunFolder(session.require_files(), run_id)
        self._lock_fd = lock_fd
        self._leash = leash
        state = self._run.state
        assert state.definition is not None, "only submitted runs get a supervisor"
        self._definition = Definition.model_validate(state.definition)
        self._environment = environment
        self._grace_s = _grace_s(session, state.target)
        self._script = Script(self._folder, self._definition)
        self._phase = Status.STARTING
        self._beaten = 0.0
        self._files_are_kept = True  # As long as there are none.
        self._room_until: float | None = None

    def execute(self) -> bool:
        """Executes the run, then lets its folder go. False if the supervisor is to end.

        The log says what happened. If that could not be written, or the files could not be kept,
        the folder stays: readers do both as soon as they can.
        """
        goes_on = True
        try:
            self._execute()
        except Exception as error:  # Whatever it is: no script without a supervisor.
            goes_on = not isinstance(error, _Ended)
            self._give_up(error)
        finally:
            self._leash.let_go()
        if self._files_are_kept and self._newest().status in TERMINAL:
            self._folder.remove()
        return goes_on

    def _give_up(self, error: Exception) -> None:
        if not isinstance(error, RunloreError | OSError | _Ended):
            traceback.print_exc()
        self._script.stop(self._grace_s)
        message = str(error) or f"{type(error).__name__}"
        if isinstance(error, _Ended):
            message = "the supervisor was told to end (SIGTERM)"
        if not self._files_are_kept:
            try:
                self._keep_files()
            except (RunloreError, OSError) as problem:
                sys.stderr.write(f"files were not kept yet: {problem}\n")
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
            # Before the start: who kills the supervisor now must not leave the script alone.
            self._leash.hold(self._run.id, (), self._grace_s)
            self._script.start(self._script_environment())
        except (RunloreError, OSError) as error:
            self._script.stop(self._grace_s)  # Of several processes some may have been started.
            self._keep_files()
            self._end(Status.FAILED, {"code": "ExecutionFailed", "message": str(error)})
            return
        self._leash.hold(self._run.id, self._script.groups, self._grace_s)
        self._enter(Status.RUNNING)
        oom_kills = _oom_kills()
        ended_elsewhere = self._watch()
        if not ended_elsewhere:
            self._enter(Status.FINALIZING)
        self._record(self._script.stop(self._grace_s))
        self._leash.let_go()  # Its groups are nobody's now; their numbers may become others'.
        self._keep_files()
        if not ended_elsewhere:
            self._end(*self._outcome(_oom_kills() > oom_kills))

    def _prepare(self) -> None:
        from runlore.storage.snapshots import restore_tree

        self._enter(Status.PREPARING)
        missing = [
            name for name in self._definition.secret_variables if name not in self._environment
        ]
        if missing:
            raise RunloreError(
                f"the run needs {', '.join(missing)}, whose values are kept nowhere, and the "
                "process that started it has none; submit it again from a process that has"
            )
        manifest = self._run.state.snapshot_manifest
        assert manifest is not None, "a submitted run has a snapshot"
        restore_tree(manifest, self._run.artifacts, self._folder.source)
        for name in ("outputs", *self._definition.watched):
            (self._folder.source / name).mkdir(parents=True, exist_ok=True)

    def _script_environment(self) -> dict[str, str]:
        state = self._run.state
        return {
            "PYTHONUNBUFFERED": "1",  # What is printed shows at once.
            **self._environment,
            "RUNLORE_WORKSPACE_URI": self._session.uri,
            "RUNLORE_RUN_ID": state.run_id,
            "RUNLORE_EXPERIMENT": state.experiment_name,
            "RUNLORE_PARENT_RUN_ID": state.parent_id or "",
            "RUNLORE_ROOT_RUN_ID": state.root_id,
            "RUNLORE_TARGET": state.target or "",
            "RUNLORE_SNAPSHOT_ID": state.snapshot_id or "",
        }

    def _watch(self) -> bool:
        """Until the script has ended or is to end; True if somebody else recorded the run's end."""
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
            state = self._newest()
            if state.status in TERMINAL:
                return True
            if state.status is Status.CANCEL_REQUESTED:
                return False
            if state.status is Status.NOT_RESPONDING:
                self._enter(self._phase)  # Somebody had given us up.
            if limit is not None and time.monotonic() - started >= limit:
                self._cancel_for(f"it ran longer than max_run_duration_seconds={limit:g}")
                return False

    def _outcome(self, out_of_memory: bool) -> tuple[Status, dict[str, str] | None]:
        bad = [one for one in self._script.exits if not is_good(one)]
        if not bad:
            return Status.COMPLETED, None
        first = bad[0]
        tail = self._script.tail(first.rank)
        ranks = self._definition.ranks
        return Status.FAILED, error_of(first, ranks, tail, out_of_memory=out_of_memory)

    def _keep_files(self) -> None:
        """Puts outputs and logs into the artifact store; what cannot be kept is a warning."""
        source, watched = self._folder.source, self._definition.watched
        folders = {name: source / name for name in watched}
        if self._definition.collect_outputs:
            folders["outputs"] = source / "outputs"
        folders["user_logs"] = self._folder.user_logs
        for problem in self._with_room(lambda: keep_folders(self._run, folders)):
            self._warn("outputs", problem)
        self._files_are_kept = True

    def _newest(self) -> RunState:
        return self._run.fetch()

    def _is_unwanted(self) -> bool:
        return self._newest().status in (*TERMINAL, Status.CANCEL_REQUESTED)

    def _enter(self, phase: Status) -> None:
        """Records the phase, unless the run was canceled or ended meanwhile."""
        self._phase = phase
        if not self._is_unwanted():
            self._change(commands.ChangeStatus(phase))

    def _end(self, status: Status, error: Mapping[str, str] | None = None) -> None:
        # What the script's processes logged and did not write any more belongs before the end.
        self._session.recover_values(at_once=True)
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
        except ChangeRefusedError as refused:  # Recorded as such; the run's end stands.
            sys.stderr.write(f"{refused}\n")

    def _with_room(self, write: Callable[[], _T]) -> _T:
        """What `write` returns; up to a minute in all is waited for room on the disk and a turn."""
        while True:
            try:
                return write()
            except (RunloreError, OSError) as error:
                now = time.monotonic()
                self._room_until = self._room_until or now + _ROOM_MAX_S
                if not _may_pass(error) or now >= self._room_until:
                    raise
            time.sleep(_ROOM_INTERVAL_S)
            self._beat()

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten > HEARTBEAT_S:
            self._beaten = now
            beat(self._lock_fd)


def main(arguments: list[str]) -> None:
    """Executes the run, and on a slot those that are queued behind it."""
    uri, run_id, lock_fd, *rest = arguments
    slot = PoolSlot(rest[0], int(rest[1]), int(rest[2])) if rest else None
    _handle_signals()
    adopt_orphans()
    for fd in (int(lock_fd), *([slot.fd] if slot else ())):
        os.set_inheritable(fd, False)
    folder = location.folder_of(uri)
    leash = Leash(folder, close_in_leash=[int(lock_fd)])
    _supervise(uri, folder, run_id, int(lock_fd), slot, leash)
    leash.close()


def _supervise(
    uri: str, folder: Path, run_id: str, lock_fd: int, slot: PoolSlot | None, leash: Leash
) -> None:
    from runlore.execution.targets.pool import Pool
    from runlore.workspace import Workspace, session_of

    base, overrides = split_environment(os.environ)
    with Workspace.open(uri) as workspace:
        session = session_of(workspace).writable()
        pool = None if slot is None else Pool.of(session, slot.pool)
        while True:
            try:
                environment = {**base, **overrides}
                if not Supervisor(session, run_id, lock_fd, leash, environment).execute():
                    return
            except _Ended:
                return
            except Exception:  # A run must not take the queue behind it down.
                traceback.print_exc()
            finally:
                unlock(lock_fd)
            if pool is None or slot is None:
                return
            claim = pool.next_for(slot)
            if claim is None:
                return
            run_id, lock_fd = claim.run_id, claim.lock_fd
            base, overrides = split_environment(claim.environment)


def _grace_s(session: LiveSession, target: str | None) -> float:
    from runlore.execution.targets.target import DEFAULT_GRACE_S, settings_of

    grace_s = settings_of(session, target or "local").get("grace_s", DEFAULT_GRACE_S)
    return float(grace_s)


def _may_pass(error: Exception) -> bool:
    """Whether the disk is full, or the log busy: no reason to end a script."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return full or isinstance(error, DiskFull | LogBusy)


def _handle_signals() -> None:
    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Once is enough.
        raise _Ended

    # Whoever submits may block signals, or ignore its children: then no exit would be known.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, end)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)


def _oom_kills() -> int:
    """How often the system killed something of our control group for want of memory."""
    try:
        own = Path("/proc/self/cgroup").read_text().strip().rpartition(":")[2]
        for folder in (Path("/sys/fs/cgroup") / own.lstrip("/"), Path("/sys/fs/cgroup")):
            events = folder / "memory.events"
            if events.exists():
                counts = dict(line.split() for line in events.read_text().splitlines())
                return int(counts.get("oom_kill", 0))
    except (OSError, ValueError):
        pass
    return 0


if __name__ == "__main__":
    main(sys.argv[1:])
