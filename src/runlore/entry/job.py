"""The process that an engine starts to execute a submitted run, on whatever host.

    python -m runlore.entry.job <uri> <run id> [<file with the environment>]

Without a file, its environment is the handed one. An engine may start the same job again: then an
earlier supervisor of the run is dead.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from runlore.domain.errors import RunloreError
from runlore.domain.run_commands import ClaimRun, EndRun, FindRun, PlaceRun
from runlore.domain.status import TERMINAL, Status
from runlore.engine.runs.handle import RunHandle
from runlore.entry.supervisor import handle_signals
from runlore.entry.wiring import open_existing
from runlore.execution.launch import TARGET, split_environment
from runlore.execution.leash import Leash
from runlore.execution.script import adopt_orphans
from runlore.execution.supervisor import PutBack, Supervisor, ToldToEnd, ToldWhy
from runlore.execution.targets.engines.engine import (
    NOT_STARTED,
    EngineUnavailable,
    JobState,
    Phase,
)
from runlore.execution.targets.engines.handed_file import HandedFile
from runlore.execution.targets.engines.on_engine import EngineTarget
from runlore.execution.targets.engines.requeue import put_back
from runlore.execution.targets.kinds import kind_of
from runlore.storage.file_lock import unlock
from runlore.storage.held_trees import remove_tree
from runlore.storage.open_log import locate
from runlore.storage.presence import BEAT_S
from runlore.storage.run_folder import RunFolder, beat

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession

_LOCK_MAX_S: Final = 60.0
_LOCK_INTERVAL_S: Final = 0.05
_TOLD_MAX_S: Final = 3.0
_TOLD_INTERVAL_S: Final = 0.2


def main(arguments: list[str]) -> int:
    """Execute the run. Returns the process's exit code: 1 if the run has failed."""
    uri, run_id, *rest = arguments
    handle_signals()
    adopt_orphans()
    leash = Leash()  # Before any file is opened and any thread starts: it is a fork.
    file = HandedFile(rest[0]) if rest else None
    problem = None if file is None else _take(file)
    with closing(open_existing(locate(uri))) as session:
        leash.find_runs_in(session.require_held().plain)
        run = RunHandle.existing(session, run_id)
        try:
            if _is_over(run):  # Canceled while it waited: then its file is gone.
                status = run.state.status
            else:
                status = _fail(run, problem) if problem else _execute(session, run, leash)
        except ToldToEnd:  # Before there was anything to end: readers ask the engine why.
            status = run.state.status
        except Exception as error:  # Any at all: a run that nobody executes must have an end.
            traceback.print_exc()
            status = _fail(run, f"its supervisor could not begin: {error}")
        if file is not None and status in TERMINAL:
            file.remove()
    leash.close()
    return int(status is Status.FAILED)


def _take(file: HandedFile) -> str | None:
    """Add the handed variables to the environment; those of this host win. The problem, if any."""
    try:
        handed = file.read()
    except RunloreError as error:
        return str(error)
    os.environ.update({name: value for name, value in handed.items() if name not in os.environ})
    return None


def _is_over(run: RunHandle) -> bool:
    state = run.fetch()
    return state.status in TERMINAL and not state.lost


def _fail(run: RunHandle, problem: str) -> Status:
    run.change(EndRun(Status.FAILED, {"code": NOT_STARTED, "message": problem}))
    return run.fetch().status


def _execute(session: LiveSession, run: RunHandle, leash: Leash) -> Status:
    target = _target(session)
    handle = None if target is None else target.engine.own_handle(os.environ)
    folder = RunFolder(session.require_held(), run.id)
    lock_fd = _locked(folder)
    try:
        if not _claim(run, handle):
            folder.remove()
            return run.fetch().status
        if handle is not None:
            run.change(PlaceRun(handle))
        supervisor = Supervisor(
            session,
            run,
            leash,
            split_environment(os.environ),
            partial(beat, lock_fd),
            why_told=partial(_why_told, target, run),
            may_come_back=partial(folder.holds_lock, lock_fd),
            beat_s=BEAT_S if target is None else min(BEAT_S, target.common.heartbeat_s),
        )
        supervisor.execute()
    finally:
        unlock(lock_fd)
    return run.fetch().status


def _target(session: LiveSession) -> EngineTarget | None:
    """The target as its submitter knew it, whatever the log says by now.

    None if its kind is not installed on this host: then the engine cannot be asked from here.
    """
    try:
        name, kind, settings = json.loads(os.environ[TARGET])
        target = kind_of(kind)(session, name, settings)
    except Exception:  # Another package's may raise anything.
        traceback.print_exc()
        return None
    return target if isinstance(target, EngineTarget) else None


def _claim(run: RunHandle, handle: str | None) -> bool:
    """Take the run over from the queue; False if it was canceled there, or has ended."""
    if run.fetch().lost:
        run.change(FindRun())
    status = run.fetch().status
    if status in TERMINAL:
        return False
    if status is Status.CANCEL_REQUESTED:
        return True
    if status is not Status.QUEUED:
        put_back(run, f"job {handle} was started again: its earlier supervisor is gone")
    where = f"on {os.uname().nodename}" + (f", as job {handle}" if handle else "")
    return bool(run.change(ClaimRun(where)))


def _locked(folder: RunFolder) -> int:
    """Lock the run's folder, and send what this process prints into its log."""
    deadline = time.monotonic() + _LOCK_MAX_S
    while (lock_fd := folder.make_and_lock()) is None:
        if time.monotonic() > deadline:
            raise RunloreError(f"another process holds the folder {folder.root}")
        time.sleep(_LOCK_INTERVAL_S)
    with suppress(FileNotFoundError):  # What an earlier attempt has left.
        remove_tree(folder.source)
    with folder.supervisor_log.open_file("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    return lock_fd


def _why_told(target: EngineTarget | None, run: RunHandle, is_ours: bool) -> ToldWhy:
    """The engine's reason for a signal; None if it still takes the job for executing."""
    deadline = time.monotonic() + _TOLD_MAX_S
    while target is not None and time.monotonic() < deadline:
        state = run.fetch()
        answer = _answer(target, state.handle or "", is_ours)
        if answer is None:
            return None
        if answer.phase is Phase.WAITING:
            return PutBack(target.why_put_back(answer))
        if answer.is_over:
            end = target.end_by(state, answer)
            if is_ours:  # The supervisor ends now, and asks once.
                target.say_who_canceled(run, end, answer)
            return end
        time.sleep(_TOLD_INTERVAL_S)
    return None


def _answer(target: EngineTarget, handle: str, is_ours: bool) -> JobState | None:
    """What the engine says, or means by the signal; None if nothing is to be learnt of it."""
    if target.engine.stops_by_signal:
        return JobState(Phase.ENDED, "the job was stopped", canceled=True) if is_ours else None
    try:
        return target.engine.poll_told(handle)
    except EngineUnavailable:
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
