"""A thread that tells a log's server every few seconds that this process is alive.

Processes of other machines cannot see its locks: see `runlore.storage.presence`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from runlore.domain.errors import RunloreError
from runlore.storage import fork_guard, interruptions
from runlore.storage.interruptions import AFTERWARDS
from runlore.storage.participants import Part
from runlore.storage.patience import Patience, patience
from runlore.storage.presence import BEAT_S
from runlore.storage.this_process import this_process

if TYPE_CHECKING:
    from runlore.storage.presence import Presence

_AT_THE_END: Final = Patience(1.0)


class Heartbeat:
    """The signs of life of this process as a writer. Without a `presence` it does nothing.

    `writer_id` and `parts` tell which writer it is, and in which runs it takes part.
    """

    fork_order = fork_guard.ForkOrder.SESSION

    _goes_on: bool
    _every_s: float

    def __init__(
        self,
        presence: Presence | None,
        writer_id: Callable[[], str],
        parts: Callable[[], Sequence[tuple[str, Part]]],
    ) -> None:
        self._presence = presence
        self._writer_id = writer_id
        self._parts = parts
        self._make()
        if presence is not None:
            fork_guard.guard(self)

    def supervise(self, run_id: str, every_s: float = BEAT_S) -> None:
        """Tell that this process looks after a submitted run, until it closes the workspace.

        At least `every_s` seconds.
        """
        self._supervised.add(run_id)
        self._every_s = min(self._every_s, every_s)
        self.begin()

    def begin(self) -> None:
        """Tell from now on that this process is alive; at once, if it tells already."""
        if self._presence is None:
            return
        with AFTERWARDS, self._lock:
            self._bell.set()
            if self._goes_on:
                return
            self._goes_on = True
        # A process that ends may start no threads; it leaves soon anyway.
        with suppress(RuntimeError):
            threading.Thread(target=self._go_on, name="runlore-heartbeat", daemon=True).start()

    def close(self) -> None:
        """Tell that this process writes no more, if the server is there to hear it."""
        with AFTERWARDS, self._lock:
            was_going_on, self._goes_on = self._goes_on, False
            self._bell.set()
        if was_going_on and self._presence is not None:
            with suppress(RunloreError), patience(_AT_THE_END):
                self._presence.leave(self._writer_id())

    def _go_on(self) -> None:
        assert self._presence is not None, "it was begun"
        while self._goes_on:
            self._bell.clear()
            with suppress(RunloreError):
                self._presence.beat(self._writer_id(), this_process(), self._all_parts())
            self._bell.wait(self._every_s)

    def _all_parts(self) -> list[tuple[str, Part]]:
        part = Part(self._writer_id(), 0)
        return [*self._parts(), *((run_id, part) for run_id in sorted(self._supervised))]

    def _make(self) -> None:
        self._lock = interruptions.new_lock(self)
        self._bell = threading.Event()
        self._goes_on = False
        self._supervised: set[str] = set()
        self._every_s = BEAT_S

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._make()
