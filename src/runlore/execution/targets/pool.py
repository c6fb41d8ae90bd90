"""A pool of N slots on this machine, without a daemon: the process that ends a run starts the next.

The log says which runs are queued; the pool's folder (`pool_folder`) only hints at them. Submitting
appends Queued and, if a slot is free, starts a supervisor on it. A supervisor that has ended its
run keeps its slot and claims the oldest queued run; a claim is an append that only one process can
make. A process that finds nothing to start unlocks the slot and looks once more: a run that was
queued in the meantime saw no free slot, and no other process would start it. If all supervisors
were killed, the next reader starts the queued runs.

Several users may share a pool. A supervisor starts only runs of its own user, and leaves its slot
to another user whose run waits longer, if a process of that user is alive to start it. So a user
whose runs wait while only others' supervisors are on the slots has a *watch*, a process that looks
for a free slot twice a second and ends when it is not needed any more. A supervisor looks for
further free slots as well. A slot that nobody takes for 5 s goes to whoever has a run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from runlore.domain.errors import ChangeRefusedError
from runlore.domain.events import Event, RunStatusChanged
from runlore.domain.run_commands import (
    ChangeStatus,
)
from runlore.domain.status import TERMINAL, Status
from runlore.engine.runs.handle import RunHandle
from runlore.exceptions import ComputeTargetException, ExperimentExecutionException
from runlore.execution.launch import PoolSlot, split_environment, start_supervisor, start_watch
from runlore.execution.targets.attached import attached
from runlore.execution.targets.pool_folder import PoolFolder, write_holder
from runlore.execution.targets.queue import Claim, Queue
from runlore.execution.targets.target import DEFAULT_GRACE_S
from runlore.execution.targets.this_machine import LocalPlacement, TargetOfThisMachine
from runlore.storage.file_lock import release, take, unlock
from runlore.storage.patience import is_of_a_read
from runlore.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from runlore.domain.run_state import RunState
    from runlore.engine.session import LiveSession

_SLOTS_MAX: Final = 10_000
_DEFAULT_SLOTS: Final = 2
_GRACE_MAX_S: Final = 86_400
_PATIENCE_S: Final = 5.0
"""How long a free slot is left to another user whose run waits longer."""
_WATCH_INTERVAL_S: Final = 0.5
_CHANGE_MAX_S: Final = 0.5
_CHANGE_INTERVAL_S: Final = 0.01
_NOT_STARTED: Final = "SupervisorNotStarted"


class Pool(TargetOfThisMachine):
    """At most `slots` runs at once; the others wait in the order in which they were submitted."""

    kind = "pool"

    def __init__(self, session: LiveSession, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__(session, name, settings)
        self.files = PoolFolder(session.require_held(), name)
        self.queue = Queue(session, self.files, self.slots)

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
        slots = self.settings.get("slots")  # A log may say anything.
        return min(slots, _SLOTS_MAX) if isinstance(slots, int) else 0

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
        self.queue.orders.drop(run_id)
        for hint in self.files.hints():
            if hint.run_id == run_id:
                hint.remove()
        folder.remove()

    def settle(self) -> None:
        self._fill()
        self._see_to_watch()

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

    def why_queued(self, state: RunState) -> str | None:
        """Why a queued run may never start: no process does it, or it waits for one above it."""
        run_id = state.run_id
        deadlocks = (self.why_stuck(run_id, above) for above in self._ancestors(run_id))
        return self.queue.why_not_started(state) or next(filter(None, deadlocks), None)

    # --- for placements and supervisors -------------------------------------------------------

    def start_queued(self, run_id: str) -> None:
        """Start queued runs, among them this one if its turn has come.

        Raises OSError if the pool was deleted, ExperimentExecutionException if the run's
        supervisor could not be started.
        """
        if Pool.of(self.session, self.name) is None:  # Deleted while the run was recorded.
            raise OSError(f"{self.name!r} is not a pool any more")
        self.settle()
        state = self.queue.state_of(run_id)
        if state is not None and state.error and state.error.get("code") == _NOT_STARTED:
            raise ExperimentExecutionException(f"run {run_id} has failed: {state.error['message']}")

    def next_for(self, slot: PoolSlot) -> Claim | None:
        """Claim the oldest queued run; None, with the slot unlocked, if there is none.

        If another user's run waits longer, the slot is left to that user's processes.
        """
        while True:
            fresh = Pool.of(self.session, self.name)
            wanted = fresh is not None and slot.number < fresh.slots
            if fresh is not None:
                fresh._fill()  # Other slots may be free, if their supervisors were killed.
            ours = fresh is not None and wanted and not fresh.queue.is_anothers_turn()
            claim = fresh.queue.claim(slot) if fresh is not None and ours else None
            if claim is not None:
                return claim
            write_holder(slot, "")
            release(slot.fd)
            # Look only now: a run that is queued from here on finds the slot free.
            if fresh is None or not fresh.queue.has_waiting_run():
                return None
            if not wanted or fresh.queue.is_anothers_turn() or not take(slot.fd):
                fresh._see_to_watch()
                return None

    def watch(self, lock_fd: int) -> None:
        """Start this user's runs when slots are free, until none waits or a supervisor does so.

        `lock_fd` is that of the watch's lock.
        """
        while True:
            while (fresh := Pool.of(self.session, self.name)) is not None and fresh._needs_watch():
                fresh._fill()
                time.sleep(_WATCH_INTERVAL_S)
            release(lock_fd)
            # Look once more, as a supervisor does: a submitter may have seen the lock.
            if fresh is None or not fresh._needs_watch() or not take(lock_fd):
                return

    # --- inside -------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Start queued runs of this user on the slots that are free."""
        while self.queue.has_waiting_run():
            slot = self._free_slot()
            if slot is None:
                return
            try:
                claim = self.queue.claim(slot)
            except BaseException:
                unlock(slot.fd)
                raise
            if claim is None:
                unlock(slot.fd)
            elif not self._start(claim, slot):
                return

    def _free_slot(self) -> PoolSlot | None:
        """A free slot, locked; None if there is none now.

        A run that a killed supervisor left on it is recorded as lost first, so that the log never
        shows more runs at once than there are slots. Runs of others are left to their processes.
        """
        free_for_s = _PATIENCE_S if self.queue.is_anothers_turn() else 0.0
        slot = self.files.lock_free_slot(self.slots, free_for_s=free_for_s)
        if slot is None or not self._is_left_by_us(slot.number):
            return slot
        self.session.look_after()
        if not self._is_left_by_us(slot.number):
            return slot
        unlock(slot.fd)
        return None

    def _is_left_by_us(self, number: int) -> bool:
        run_id = self._holder(number)
        return run_id is not None and self.run_folder(run_id).owner_uid() == os.geteuid()

    def _see_to_watch(self) -> None:
        """Start a watch if a run waits, and no process of this user would see a slot get free.

        If that fails, the run waits for the next process of this user that looks.
        """
        if not self.queue.has_waiting_run():
            return
        with suppress(OSError):
            lock_fd = self.files.lock_watch()
            if lock_fd is None:
                return
            try:
                if self._needs_watch():
                    start_watch(self.session.uri, self.name, lock_fd)
            finally:
                os.close(lock_fd)

    def _needs_watch(self) -> bool:
        """Whether a run of this user waits, and none of the user's supervisors is on a slot.

        A read does not wait for a slot that changes just now: a later one looks again.
        """
        deadline = time.monotonic() + _CHANGE_MAX_S
        while self.queue.has_waiting_run():
            users = {self.queue.user_on(slot) for slot in range(self.slots)}
            if os.geteuid() in users or (None in users and is_of_a_read()):
                return False
            if None not in users or time.monotonic() > deadline:
                return True
            time.sleep(_CHANGE_INTERVAL_S)
        return False

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

    def _ancestors(self, run_id: str) -> Iterator[str]:
        state = self.queue.state_of(run_id)
        while state is not None and state.parent_id is not None:
            yield state.parent_id
            state = self.queue.state_of(state.parent_id)

    def _holder(self, number: int) -> str | None:
        """The run that executes on a slot; a run that has ended does not."""
        run_id = self.files.written_holder(number)
        state = self.queue.state_of(run_id) if run_id else None
        return run_id if state is not None and state.status not in TERMINAL else None


class PlacementInQueue(LocalPlacement):
    """A run on its way into a pool's queue."""

    def __init__(
        self, folder: RunFolder, lock_fd: int, environment: Mapping[str, str], pool: Pool
    ) -> None:
        super().__init__(folder, lock_fd, environment)
        self._pool = pool

    def announce(self) -> None:
        digest = split_environment(self.environment).digest
        if not self._pool.queue.orders.keep(self.folder.run_id, digest, self.environment):
            raise ExperimentExecutionException(
                "a queued run is started only by an order that its submitter keeps outside of the "
                "workspace, and there is no place for it; set RUNLORE_CACHE_DIR to a folder of "
                "your own"
            )
        try:
            self._pool.files.enqueue(self.folder.run_id)
        except OSError as error:
            raise ExperimentExecutionException(
                f"cannot put the run into the queue {self._pool.files.root}: "
                f"{error.strerror or error}; nothing was submitted",
                error,
            ) from error

    def place(self) -> None:
        unlock(self.lock_fd)  # The process that claims the run locks its folder again.
        self._pool.start_queued(self.folder.run_id)
