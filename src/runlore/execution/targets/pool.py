"""A pool of N slots on this machine, without a daemon: the process that ends a run starts the next.

The log says which runs are queued; the pool's folder (`pool_folder`) only hints at them. Submitting
appends Queued and, if a slot is free, starts a supervisor on it. A supervisor that has ended its
run keeps its slot and claims the oldest queued run; a claim is an append that only one process can
make. A process that finds nothing to start unlocks the slot and looks once more: a run that was
queued in the meantime saw no free slot, and no other process would start it. If all supervisors
were killed, the next reader starts the queued runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from runlore.domain.errors import ChangeRefusedError, InvalidInput
from runlore.domain.events import Event, RunStatusChanged
from runlore.domain.run_commands import (
    ChangeStatus,
    ClaimRun,
)
from runlore.domain.run_state import RunState
from runlore.domain.status import TERMINAL, Status
from runlore.engine.runs.handle import RunHandle
from runlore.exceptions import ComputeTargetException, ExperimentExecutionException
from runlore.execution import handover
from runlore.execution.launch import PoolSlot, environment_for, start_supervisor
from runlore.execution.targets.attached import attached
from runlore.execution.targets.pool_folder import Hint, PoolFolder, write_holder
from runlore.execution.targets.target import DEFAULT_GRACE_S
from runlore.execution.targets.this_machine import LocalPlacement, TargetOfThisMachine
from runlore.storage.file_lock import release, take, unlock
from runlore.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession

_SLOTS_MAX: Final = 10_000
_DEFAULT_SLOTS: Final = 2
_GRACE_MAX_S: Final = 86_400
_NOT_STARTED: Final = "SupervisorNotStarted"
_LOCK_MAX_S: Final = 1.0
_LOCK_INTERVAL_S: Final = 0.005


class Claim(NamedTuple):
    """A run taken out of the queue: its lock, and the environment to start it in."""

    run_id: str
    lock_fd: int
    environment: Mapping[str, str]


class Pool(TargetOfThisMachine):
    """At most `slots` runs at once; the others wait in the order in which they were submitted."""

    kind = "pool"

    def __init__(self, session: LiveSession, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__(session, name, settings)
        self.files = PoolFolder(session.require_files(), name)

    @classmethod
    def of(cls, session: LiveSession, name: str) -> Pool | None:
        """The pool of this name; None if it was deleted or became another kind of target."""
        state = attached(session).get(name)
        return cls(session, name, state.settings) if state and state.type == cls.kind else None

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
        if not number or not 0 <= grace_s < _GRACE_MAX_S:
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

    # --- the contract -----------------------------------------------------------------------

    def recorded(self) -> Sequence[Event]:
        detail = f"waits for a slot of {self.name!r} ({self.slots} in all)"
        return (RunStatusChanged(status=Status.QUEUED, detail=detail),)

    def placement(
        self, folder: RunFolder, lock_fd: int, environment: Mapping[str, str]
    ) -> LocalPlacement:
        return PlacementInQueue(folder, lock_fd, environment, self)

    def withdraw(self, run_id: str) -> None:
        folder = self.run_folder(run_id)
        handover.drop(folder)
        for hint in self.files.hints():
            if hint.run_id == run_id:
                hint.remove()
        folder.remove()

    def settle(self) -> None:
        while self._has_waiting_run():
            slot = self.files.lock_free_slot(self.slots)
            if slot is None:
                return  # The supervisors on the slots look again when they are free.
            try:
                claim = self._claim(slot)
            except BaseException:
                unlock(slot.fd)
                raise
            if claim is None:
                unlock(slot.fd)
            elif not self._start(claim, slot):
                return

    def why_stuck(self, run_id: str, waiting_run_id: str) -> str | None:
        """A deadlock: all slots are held by runs that have descendants in this queue."""
        holders = [self._holder(number) for number in range(self.slots)]
        if waiting_run_id not in holders or None in holders:
            return None
        waited_for = {
            ancestor for hint in self.files.hints() for ancestor in self._ancestors(hint.run_id)
        }
        if not set(holders) <= waited_for:
            return None
        return (
            f"all {self.slots} slots of {self.name!r} are held by runs that have queued children "
            f"there ({', '.join(sorted(filter(None, holders)))}), so the children never start if "
            f"their parents wait for them; give the pool more slots with ComputeTarget.attach("
            f"workspace, {self.name!r}, slots={self.slots + 1}) or submit the children elsewhere"
        )

    # --- for placements and supervisors -------------------------------------------------------

    def start_queued(self, run_id: str) -> None:
        """Start queued runs, among them this one if its turn has come.

        Raises OSError if the pool was deleted, ExperimentExecutionException if the run's
        supervisor could not be started.
        """
        if Pool.of(self.session, self.name) is None:  # Deleted while the run was recorded.
            raise OSError(f"{self.name!r} is not a pool any more")
        self.settle()
        state = self._state(run_id)
        if state is not None and state.error and state.error.get("code") == _NOT_STARTED:
            raise ExperimentExecutionException(f"run {run_id} has failed: {state.error['message']}")

    def next_for(self, slot: PoolSlot) -> Claim | None:
        """Claim the oldest queued run; None, with the slot unlocked, if there is none."""
        while True:
            fresh = Pool.of(self.session, self.name)
            wanted = fresh is not None and slot.number < fresh.slots
            if fresh is not None:
                fresh.settle()  # Other slots may be free, if their supervisors were killed.
            claim = fresh._claim(slot) if fresh is not None and wanted else None
            if claim is not None:
                return claim
            write_holder(slot, "")
            release(slot.fd)
            # Look only now: a run that is queued from here on finds the slot free.
            if fresh is None or not wanted or not fresh._has_waiting_run():
                return None
            if not take(slot.fd):
                return None  # The process that has the slot now looks again as well.

    # --- inside -------------------------------------------------------------------------------

    def _claim(self, slot: PoolSlot) -> Claim | None:
        for hint in self.files.hints():
            folder = self.run_folder(hint.run_id)
            lock_fd = self._lock_queued(folder)
            if lock_fd is None:
                self._forget_stale(hint)
                continue
            run = RunHandle(self.session, hint.run_id)
            detail = f"on slot {slot.number} of {self.name!r}"
            try:
                claimed = run.change(ClaimRun(detail))
            except BaseException:
                unlock(lock_fd)
                raise
            if not claimed:
                unlock(lock_fd)
                continue
            hint.remove()
            write_holder(slot, run.id)
            environment = handover.take(folder) or environment_for(_variables(run.state))
            return Claim(run.id, lock_fd, environment)
        return None

    def _lock_queued(self, folder: RunFolder) -> int | None:
        """Lock a run's folder, as long as the run is queued; None if it is not.

        Its submitter and readers hold the lock for a moment. A supervisor holds it for as long as
        the run takes, but then the run is not queued any more.
        """
        deadline = time.monotonic() + _LOCK_MAX_S
        while self._is_queued(folder.run_id) and time.monotonic() < deadline:
            try:
                lock_fd = folder.lock()
            except FileNotFoundError:  # Canceled in the meantime, or removed by other hands.
                folder.make()
                continue
            except PermissionError:  # Another user's, who starts it.
                return None
            if lock_fd is not None:
                return lock_fd
            time.sleep(_LOCK_INTERVAL_S)
        return None

    def _start(self, claim: Claim, slot: PoolSlot) -> bool:
        folder = self.run_folder(claim.run_id)
        try:
            start_supervisor(self.session.uri, folder, claim.lock_fd, claim.environment, slot=slot)
        except OSError as error:
            message = f"the supervisor could not be started: {error}"
            failed = ChangeStatus(Status.FAILED, {"code": _NOT_STARTED, "message": message})
            with suppress(ChangeRefusedError):  # Another process was faster.
                RunHandle(self.session, claim.run_id).change(failed)
            folder.remove()
            write_holder(slot, "")
            return False
        finally:
            # Not unlocked: the supervisor has them now.
            os.close(claim.lock_fd)
            os.close(slot.fd)
        return True

    def _has_waiting_run(self) -> bool:
        """Whether a queued run waits for nothing but a slot.

        A process that holds a queued run's lock (its submitter, a reader) looks at the queue
        afterwards.
        """
        return any(
            self._is_queued(hint.run_id) and not self._is_locked(self.run_folder(hint.run_id))
            for hint in self.files.hints()
        )

    def _is_locked(self, folder: RunFolder) -> bool:
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

    def _forget_stale(self, hint: Hint) -> None:
        """Remove a hint whose run is not queued any more, and never will be.

        A run that is about to be recorded has a locked folder: so look at the folder first.
        """
        about_to_be = self._is_locked(self.run_folder(hint.run_id))
        state = self._state(hint.run_id)
        gone = not about_to_be if state is None else state.status is not Status.QUEUED
        if gone:
            hint.remove()

    def _ancestors(self, run_id: str) -> Iterator[str]:
        state = self._state(run_id)
        while state is not None and state.parent_id is not None:
            yield state.parent_id
            state = self._state(state.parent_id)

    def _holder(self, number: int) -> str | None:
        """The run that executes on a slot; a run that has ended does not."""
        run_id = self.files.written_holder(number)
        state = self._state(run_id) if run_id else None
        return run_id if state is not None and state.status not in TERMINAL else None


class PlacementInQueue(LocalPlacement):
    """A run on its way into a pool's queue."""

    def __init__(
        self, folder: RunFolder, lock_fd: int, environment: Mapping[str, str], pool: Pool
    ) -> None:
        super().__init__(folder, lock_fd, environment)
        self._pool = pool

    def announce(self) -> None:
        handover.keep(self.folder, self.environment)
        self._pool.files.enqueue(self.folder.run_id)

    def place(self) -> None:
        unlock(self.lock_fd)  # The process that claims the run locks its folder again.
        self._pool.start_queued(self.folder.run_id)


def _variables(state: RunState) -> dict[str, str]:
    return dict(state.definition["environment_variables"]) if state.definition else {}
