"""The queue of a pool, as one user sees it.

Several users may share a pool. Each starts only runs for which there is an order of this user's
(`handover`), and leaves the slots to the others' processes for the rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from runlore.domain.errors import InvalidInput
from runlore.domain.run_commands import ClaimRun
from runlore.domain.run_state import RunState
from runlore.domain.status import Status
from runlore.engine.runs.handle import RunHandle
from runlore.execution.handover import Order, Orders, digest_of
from runlore.execution.launch import PoolSlot, environment_for
from runlore.execution.targets.pool_folder import Hint, PoolFolder, write_holder
from runlore.storage.file_lock import unlock
from runlore.storage.patience import is_of_a_read
from runlore.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession

NOBODY: Final = -1
_LOCK_MAX_S: Final = 1.0
_LOCK_INTERVAL_S: Final = 0.005


class Claim(NamedTuple):
    """A run taken out of the queue: its lock, and the environment to start it in."""

    run_id: str
    lock_fd: int
    environment: Mapping[str, str]


class Queue:
    """The runs that wait in a pool. Made for each use; keeps nothing open."""

    def __init__(self, session: LiveSession, files: PoolFolder, slots: int) -> None:
        self.session = session
        self.files = files
        self.slots = slots

    @cached_property
    def orders(self) -> Orders:
        """This user's orders; looked for only if there is a queue."""
        return Orders(self.session.require_held())

    def claim(self, slot: PoolSlot) -> Claim | None:
        """Take the oldest run that this user may start out of the queue; None if there is none."""
        for hint in self.files.hints():
            order = self.orders.of(hint.run_id)
            folder = self._folder(hint.run_id)
            lock_fd = None if order is None else self._lock_queued(folder, order)
            if order is None or lock_fd is None:
                if hint.uid() == os.geteuid():
                    self.forget_if_stale(hint)
                continue
            run = RunHandle(self.session, hint.run_id)
            detail = f"on slot {slot.number} of {self.files.name!r}"
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
            self.orders.drop(run.id)
            variables = environment_for(_variables(run.state), order.digest)
            return Claim(run.id, lock_fd, order.environment or variables)
        return None

    def has_waiting_run(self) -> bool:
        """Whether a run that this user may start waits for nothing but a slot.

        A process that holds a queued run's lock (its submitter, a reader) looks at the queue
        afterwards.
        """
        return any(
            order is not None
            and self._is_startable(hint.run_id, order)
            and not self.is_locked(self._folder(hint.run_id))
            for hint in self.files.hints()
            for order in [self.orders.of(hint.run_id)]
        )

    def is_anothers_turn(self) -> bool:
        """Whether a run of another user waits longer, and a process of that user will start it."""
        earlier = []
        for hint in self.files.hints():
            order = self.orders.of(hint.run_id)
            if order is not None and self._is_startable(hint.run_id, order):
                break
            uid = hint.uid()
            if uid not in (None, os.geteuid()):
                earlier.append((uid, hint.run_id))
        if not earlier:
            return False
        alive = {*self.files.watched_for(), *map(self.user_on, range(self.slots))}
        return any(uid in alive and self._is_queued(run_id) for uid, run_id in earlier)

    def user_on(self, slot: int) -> int | None:
        """The user whose supervisor is on a slot.

        NOBODY if it is free; None if it changes just now, or cannot be known.
        """
        if not self.files.is_slot_locked(slot):
            return NOBODY
        run_id = self.files.written_holder(slot)
        folder = self._folder(run_id) if run_id else None
        owner = None if folder is None else folder.owner_uid()
        if folder is None or (owner == os.geteuid() and not self.is_locked(folder)):
            return None  # Between two runs, or its supervisor was killed.
        return owner

    def left(self, known: Collection[str]) -> Iterator[RunState]:
        """The queued runs whose files are this user's, but that it did not order here and now.

        Without those that are `known`.
        """
        for hint in self.files.hints():
            if (
                hint.run_id not in known
                and self.orders.of(hint.run_id) is None
                and hint.uid() == os.geteuid()
            ):
                state = self.state_of(hint.run_id)
                if state is not None and state.status is Status.QUEUED:
                    yield state

    def why_not_started(self, state: RunState) -> str | None:
        """Why no process of this user starts a queued run; None if one does."""
        order = self.orders.of(state.run_id)
        if order is not None and order.digest == digest_of_state(state):
            return None
        if order is not None:
            return (
                "its script, arguments or source in the log are not those that were submitted; "
                f"look at them, and start it with `runlore run start -r {state.run_id}`"
            )
        owner = self.owner_of(state.run_id)
        if owner is not None and owner != os.geteuid():
            return f"it is a run of user {owner}, whose own processes start it"
        return (
            "this user did not submit it in this folder on this machine since its last start, so "
            "it may be anybody's, and reading the workspace does not execute it; look at it, and "
            f"start it with `runlore run start -r {state.run_id}`"
        )

    def owner_of(self, run_id: str) -> int | None:
        """The user who queued a run; None if no file tells."""
        for hint in self.files.hints():
            if hint.run_id == run_id:
                return hint.uid()
        return self._folder(run_id).owner_uid()

    def is_locked(self, folder: RunFolder) -> bool:
        """Whether somebody takes care of the run, or it cannot be known."""
        try:
            return folder.is_locked()
        except OSError:  # Another user's, or not what a submission makes.
            return True

    def state_of(self, run_id: str) -> RunState | None:
        """The run's newest state; None if it is not in the log."""
        try:
            return RunHandle(self.session, run_id).refresh()
        except InvalidInput:
            return None

    # --- inside -------------------------------------------------------------------------------

    def _folder(self, run_id: str) -> RunFolder:
        return RunFolder(self.session.require_held(), run_id)

    def _is_startable(self, run_id: str, order: Order) -> bool:
        state = self.state_of(run_id)
        return (
            state is not None
            and state.status is Status.QUEUED
            and order.digest == digest_of_state(state)
        )

    def _is_queued(self, run_id: str) -> bool:
        state = self.state_of(run_id)
        return state is not None and state.status is Status.QUEUED

    def _lock_queued(self, folder: RunFolder, order: Order) -> int | None:
        """Lock a run's folder, as long as the run is queued as ordered; None if it is not.

        Its submitter and readers hold the lock for a moment. A supervisor holds it for as long as
        the run takes, but then the run is not queued any more. A read does not wait.
        """
        deadline = time.monotonic() + (0 if is_of_a_read() else _LOCK_MAX_S)
        while self._is_startable(folder.run_id, order):
            try:
                lock_fd = folder.lock()
            except FileNotFoundError:  # Canceled in the meantime, or removed by other hands.
                folder.make()
                continue
            except OSError:  # Another user's, or not what a submission makes.
                return None
            if lock_fd is not None or time.monotonic() >= deadline:
                return lock_fd
            time.sleep(_LOCK_INTERVAL_S)
        return None

    def forget_if_stale(self, hint: Hint) -> None:
        """Remove a hint whose run is not queued any more, and never will be.

        A run that is about to be recorded has a locked folder: so look at the folder first.
        """
        about_to_be = self.is_locked(self._folder(hint.run_id))
        state = self.state_of(hint.run_id)
        gone = not about_to_be if state is None else state.status is not Status.QUEUED
        if gone:
            hint.remove()


def digest_of_state(state: RunState) -> str:
    """The digest of what a run executes, as the log has it."""
    return digest_of(state.run_id, state.target, state.definition, state.snapshot_manifest)


def _variables(state: RunState) -> dict[str, str]:
    return dict(state.definition["environment_variables"]) if state.definition else {}
