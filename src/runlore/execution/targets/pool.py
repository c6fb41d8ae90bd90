"""A pool of N slots on this machine, without a daemon: whoever ends a run starts the next one.

    <workspace>/pools/<name>/slot-<n>    locked by who executes on it; says which run that is
    <workspace>/pools/<name>/queue/      names <time>-<run id>: hints at what is queued

The truth about what is queued is in the log: a hint whose run is not Queued (any more) is passed
over. Submitting appends Queued and, if a slot is free, starts a supervisor on it. A supervisor that
has ended its run keeps its slot and claims the oldest queued run; a claim is an append that only
one can make. Whoever finds nothing to start lets the slot go and looks once more: a run that was
queued meanwhile saw no free slot, and nobody else would start it. If everybody was killed, the next
reader starts what waits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from runlore.domain.errors import ChangeRefusedError, InvalidInput
from runlore.domain.events import Event, RunStatusChanged
from runlore.domain.run import ChangeStatus, ClaimRun
from runlore.domain.run_state import RunState
from runlore.domain.status import TERMINAL, Status
from runlore.engine.runs.handle import RunHandle
from runlore.exceptions import ComputeTargetException, ExperimentExecutionException
from runlore.execution import handover
from runlore.execution.launch import PoolSlot, environment_for, start_supervisor
from runlore.execution.targets.target import DEFAULT_GRACE_S, Placement, Target, target_of
from runlore.storage.clock import now_us
from runlore.storage.file_lock import release, take, try_lock, unlock
from runlore.storage.run_folder import RunFolder

POOLS = "pools"
_SLOTS_MAX = 10_000
_DEFAULT_SLOTS = 2
_NOT_STARTED = "SupervisorNotStarted"
_LOCK_MAX_S = 1.0
_LOCK_INTERVAL_S = 0.005


class Claim(NamedTuple):
    """A run that was taken out of the queue: its lock, and the environment to start it in."""

    run_id: str
    lock_fd: int
    environment: Mapping[str, str]


class Pool(Target):
    """At most `slots` runs at once; the others wait in the order in which they were submitted."""

    kind = "pool"

    @classmethod
    def of(cls, session: Any, name: str) -> Pool | None:
        """The pool of this name; None if it was deleted or became something else."""
        try:
            target = target_of(session, name)
        except ComputeTargetException:
            return None
        return target if isinstance(target, Pool) else None

    @classmethod
    def checked(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        known = {"slots": _DEFAULT_SLOTS, "grace_s": DEFAULT_GRACE_S}
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise ComputeTargetException(
                f"a pool has no setting {unknown[0]!r}; it takes {', '.join(known)}"
            )
        slots, grace_s = ({**known, **settings}[name] for name in known)
        if isinstance(slots, bool) or not isinstance(slots, int) or not 0 < slots <= _SLOTS_MAX:
            raise ComputeTargetException(
                f"slots is {slots!r}; it takes a whole number from 1 to {_SLOTS_MAX}"
            )
        number = isinstance(grace_s, int | float) and not isinstance(grace_s, bool)
        if not number or not 0 <= grace_s < 86_400:
            raise ComputeTargetException(
                f"grace_s is {grace_s!r}; it takes the seconds between TERM and KILL, "
                "from 0 to a day"
            )
        return {"slots": slots, "grace_s": float(grace_s)}

    @property
    def slots(self) -> int:
        """How many runs may execute at once."""
        slots: int = self.settings["slots"]
        return slots

    @property
    def _folder(self) -> Path:
        return self.session.require_files() / POOLS / self.name

    # --- Target ---------------------------------------------------------------------------

    def recorded(self) -> list[Event]:
        detail = f"waits for a slot of {self.name!r} ({self.slots} in all)"
        return [RunStatusChanged(status=Status.QUEUED, detail=detail)]

    def announce(self, placement: Placement) -> None:
        handover.keep(self._run_folder(placement.run_id), placement.environment)
        queue = self._folder / "queue"
        queue.mkdir(parents=True, exist_ok=True)
        (queue / f"{now_us():020d}-{placement.run_id}").touch()

    def place(self, placement: Placement) -> None:
        unlock(placement.lock_fd)  # Who claims the run locks it again.
        if Pool.of(self.session, self.name) is None:  # Deleted while the run was recorded.
            raise OSError(f"{self.name!r} is no pool any more")
        self.settle()
        state = self._state(placement.run_id)
        if state is not None and state.error and state.error.get("code") == _NOT_STARTED:
            raise ExperimentExecutionException(
                f"run {placement.run_id} has failed: {state.error['message']}"
            )

    def withdraw(self, run_id: str) -> None:
        handover.drop(self._run_folder(run_id))
        for hint, queued in self._hints():
            if queued == run_id:
                hint.unlink(missing_ok=True)
        self._run_folder(run_id).remove()

    def settle(self) -> bool:
        """Starts supervisors on free slots as long as there are queued runs."""
        started = False
        while self._waits():
            slot = self._free_slot()
            if slot is None:
                break  # Who has the slots looks again when they are free.
            try:
                claim = self._claim(slot)
            except BaseException:
                unlock(slot.fd)
                raise
            if claim is None:
                unlock(slot.fd)
            elif self._start(claim, slot):
                started = True
            else:
                break
        return started

    def why_stuck(self, run_id: str, waiting_run_id: str) -> str | None:
        """A deadlock: all slots are held by runs that have descendants in this queue."""
        holders = [self._holder(number) for number in range(self.slots)]
        if waiting_run_id not in holders or None in holders:
            return None
        waited_for = {
            ancestor for _, queued in self._hints() for ancestor in self._ancestors(queued)
        }
        if not set(holders) <= waited_for:
            return None
        return (
            f"all {self.slots} slots of {self.name!r} are held by runs that have queued children "
            f"there ({', '.join(sorted(filter(None, holders)))}), so the children never start if "
            f"their parents wait for them; give the pool more slots with ComputeTarget.attach("
            f"workspace, {self.name!r}, slots={self.slots + 1}) or submit the children elsewhere"
        )

    # --- for supervisors --------------------------------------------------------------------

    def next_for(self, slot: PoolSlot) -> Claim | None:
        """The oldest queued run, claimed; None if there is none: the slot is free again then."""
        while True:
            fresh = Pool.of(self.session, self.name)
            wanted = fresh is not None and slot.number < fresh.slots
            if fresh is not None:
                fresh.settle()  # Other slots may be free, if their supervisors were killed.
            claim = fresh._claim(slot) if fresh is not None and wanted else None
            if claim is not None:
                return claim
            self._say_holder(slot, "")
            release(slot.fd)
            # Only now: whoever queues a run from here on finds the slot free.
            if fresh is None or not wanted or not fresh._waits():
                return None
            if not take(slot.fd):  # Its new holder looks again as well.
                return None

    # --- inside -----------------------------------------------------------------------------

    def _claim(self, slot: PoolSlot) -> Claim | None:
        for hint, run_id in self._hints():
            folder = self._run_folder(run_id)
            lock_fd = self._lock_queued(folder)
            if lock_fd is None:
                self._forget_stale(hint)
                continue
            run = RunHandle(self.session, run_id)
            detail = f"on slot {slot.number} of {self.name!r}"
            try:
                claimed = run.change(ClaimRun(detail))
            except BaseException:
                unlock(lock_fd)
                raise
            if not claimed:
                unlock(lock_fd)
                continue
            hint.unlink(missing_ok=True)
            self._say_holder(slot, run_id)
            environment = handover.take(folder) or environment_for(_variables(run.stream.state))
            return Claim(run_id, lock_fd, environment)
        return None

    def _lock_queued(self, folder: RunFolder) -> int | None:
        """The lock of a run's folder, as long as the run is queued; else None.

        Its submitter and readers hold it for a moment. A supervisor holds it as long as the run
        takes, but then the run is not queued any more.
        """
        deadline = time.monotonic() + _LOCK_MAX_S
        while self._is_queued(folder.run_id) and time.monotonic() < deadline:
            try:
                lock_fd = folder.lock()
            except FileNotFoundError:  # Canceled and cleared away meanwhile, or by no one of us.
                folder.make()
                continue
            except PermissionError:  # Another user's, who starts it.
                return None
            if lock_fd is not None:
                return lock_fd
            time.sleep(_LOCK_INTERVAL_S)
        return None

    def _start(self, claim: Claim, slot: PoolSlot) -> bool:
        folder = self._run_folder(claim.run_id)
        try:
            uri = self.session.uri
            start_supervisor(uri, folder, claim.lock_fd, claim.environment, slot=slot)
        except OSError as error:
            message = f"the supervisor could not be started: {error}"
            failed = ChangeStatus(Status.FAILED, {"code": _NOT_STARTED, "message": message})
            with suppress(ChangeRefusedError):  # Somebody was faster.
                RunHandle(self.session, claim.run_id).change(failed)
            folder.remove()
            self._say_holder(slot, "")
            return False
        finally:
            # Not unlocked: the supervisor has them now.
            os.close(claim.lock_fd)
            os.close(slot.fd)
        return True

    def _free_slot(self) -> PoolSlot | None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(self.slots):
            fd = try_lock(self._folder / f"slot-{number}", mode=0o600)
            if fd is not None:
                return PoolSlot(self.name, number, fd)
        return None

    def _hints(self) -> Iterator[tuple[Path, str]]:
        """The runs that may be queued, oldest first."""
        try:
            names = sorted(os.listdir(self._folder / "queue"))
        except FileNotFoundError:
            return
        for name in names:
            yield self._folder / "queue" / name, name.partition("-")[2]

    def _waits(self) -> bool:
        """Whether a run is queued that only waits for a slot.

        Who holds a queued run's lock (its submitter, a reader) looks at the queue afterwards.
        """
        return any(
            self._is_queued(run_id) and not self._is_held(self._run_folder(run_id))
            for _, run_id in self._hints()
        )

    def _is_held(self, folder: RunFolder) -> bool:
        try:
            return folder.is_locked()
        except PermissionError:  # Another user's.
            return True

    def _state(self, run_id: str) -> RunState | None:
        try:
            return RunHandle(self.session, run_id).refresh()
        except InvalidInput:
            return None

    def _is_queued(self, run_id: str) -> bool:
        state = self._state(run_id)
        return state is not None and state.status is Status.QUEUED

    def _forget_stale(self, hint: Path) -> None:
        """Takes a hint away whose run is not queued any more, and never will be.

        The folder of one that is about to be recorded is locked: that is looked at first.
        """
        run_id = hint.name.partition("-")[2]
        about_to_be = self._is_held(self._run_folder(run_id))
        state = self._state(run_id)
        gone = not about_to_be if state is None else state.status is not Status.QUEUED
        if gone:
            hint.unlink(missing_ok=True)

    def _ancestors(self, run_id: str) -> Iterator[str]:
        state = self._state(run_id)
        while state is not None and state.parent_id is not None:
            yield state.parent_id
            state = self._state(state.parent_id)

    def _holder(self, slot: int) -> str | None:
        """The run that executes on a slot. One that was killed stands there after its end."""
        try:
            run_id = (self._folder / f"slot-{slot}").read_text()
        except FileNotFoundError:
            return None
        state = self._state(run_id) if run_id else None
        return run_id if state is not None and state.status not in TERMINAL else None

    def _say_holder(self, slot: PoolSlot, run_id: str) -> None:
        with suppress(OSError):
            os.ftruncate(slot.fd, 0)
            os.pwrite(slot.fd, run_id.encode(), 0)

    def _run_folder(self, run_id: str) -> RunFolder:
        return RunFolder(self.session.require_files(), run_id)


def _variables(state: RunState | None) -> dict[str, str]:
    definition = state.definition if state else None
    return dict(definition["environment_variables"]) if definition else {}
