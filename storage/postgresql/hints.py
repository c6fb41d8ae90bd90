"""Hints that something was committed, by NOTIFY: they may be lost, doubled or forged.

Readers go by positions and look by themselves every second, so a hint only shortens the wait. It
is sent after the commit, in a transaction of its own: inside of the writing one it would hold up
the commits of all workspaces of the server.
"""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from weakref import WeakSet

import psycopg

from runlore.domain.errors import RunloreError
from runlore.storage import fork_guard, interruptions
from runlore.storage.interruptions import AFTERWARDS
from runlore.storage.postgresql.connections import Connection, Connections
from runlore.storage.waker import Waker

LOOK_INTERVAL_S: Final = 1.0
"""How often a reader at the end of the log looks without a hint."""

_APART_S: Final = 0.005
_AGAIN_S: Final = 0.5
_OWN_HINT_S: Final = 2.0


class Hints:
    """What this process tells others of its commits, and hears of theirs."""

    fork_order = fork_guard.ForkOrder.LOG

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._channel = channel_of(connections.address.schema)
        self._lock = interruptions.new_lock(self)
        self._is_telling = self._tells_again = self._is_listening = False
        self._told_at = 0.0
        self._wakers: WeakSet[HintedWaker] = WeakSet()
        self.problem: str | None = None
        fork_guard.guard(self)

    def tell(self) -> None:
        """Tell other processes soon that something was committed; many commits at once."""
        now = time.monotonic()
        with AFTERWARDS, self._lock:
            # A thread that did not start, as a handler raised, does not hold up others for long.
            if self._is_telling and now < self._told_at + LOOK_INTERVAL_S:
                self._tells_again = True
                return
            self._is_telling, self._told_at = True, now
        self._begin(self._tell)

    def waker(self) -> HintedWaker:
        """A waker that commits of other processes ring as well."""
        waker = HintedWaker(self)
        with AFTERWARDS, self._lock:
            self._wakers.add(waker)
        return waker

    def forget(self, waker: HintedWaker) -> None:
        """Listen for this waker no more."""
        with AFTERWARDS, self._lock:
            self._wakers.discard(waker)

    def listen(self) -> None:
        """Ring the wakers by what others tell, from now on as long as there are some."""
        with AFTERWARDS, self._lock:
            if self._is_listening:
                return
            self._is_listening = True
        self._begin(self._listen)

    def _begin(self, work: Callable[[], None]) -> None:
        # A process that ends starts no threads, and nobody waits for its hints.
        interruptions.beside(work)

    # --- telling ----------------------------------------------------------------------------

    def _tell(self) -> None:
        while True:
            self._told_at = time.monotonic()
            with suppress(RunloreError, psycopg.Error):
                self._connections.read(self._notify)
            time.sleep(_APART_S)
            with self._lock:
                if not self._tells_again:
                    self._is_telling = False
                    return
                self._tells_again = False

    def _notify(self, connection: Connection) -> None:
        # One message to the server. A hint need not be on disk.
        text = f"BEGIN; SET LOCAL synchronous_commit TO off; NOTIFY {self._channel}; COMMIT"
        connection.execute(text.encode())

    # --- listening --------------------------------------------------------------------------

    def _listen(self) -> None:
        while self._is_needed():
            try:
                connection = self._connections.dedicated()
            except RunloreError:
                time.sleep(_AGAIN_S)
                continue
            with suppress(psycopg.Error, RunloreError), connection:
                self._hear(connection)
            time.sleep(_APART_S)

    def _is_needed(self) -> bool:
        with self._lock:
            self._is_listening = any(True for _ in self._wakers)
            return self._is_listening

    def _hear(self, connection: Connection) -> None:
        connection.execute(f"LISTEN {self._channel}".encode())
        Waker.ring_all()  # What came before is seen now.
        own = os.urandom(16).hex()
        self._connections.read(
            lambda other: other.execute("SELECT pg_notify(%s, %s)", [self._channel, own])
        )
        has_own, look_at = False, time.monotonic() + _OWN_HINT_S
        while self._is_needed():
            for hint in connection.notifies(timeout=LOOK_INTERVAL_S / 2, stop_after=1):
                has_own = has_own or hint.payload == own
                Waker.ring_all()
            if not has_own and time.monotonic() > look_at:
                self.problem = (
                    f"the connection to {self._connections.address.uri} gets no notifications, as "
                    "behind a pooler in transaction mode, so new events are seen up to a second "
                    "late; connect subscribers to the server itself"
                )

    # --- forks ------------------------------------------------------------------------------

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = interruptions.new_lock(self)
        self._is_telling = self._tells_again = self._is_listening = False


def channel_of(schema: str) -> str:
    """The name by which commits to the log in a schema are told."""
    return f"runlore_{hashlib.sha256(schema.encode()).hexdigest()[:32]}"


class HintedWaker(Waker):
    """A waker that looks rarely, as hints ring it."""

    _is_told = False

    def __init__(self, hints: Hints) -> None:
        super().__init__()
        self._hints = hints

    def end(self) -> None:
        """End all waits, and listen for it no more."""
        self._hints.forget(self)
        super().end()

    def wait(self, at_most_s: float = LOOK_INTERVAL_S) -> None:
        """Return when something was committed, or when it is time to look."""
        self._hints.listen()
        problem = self._hints.problem
        if problem is not None and not HintedWaker._is_told:
            HintedWaker._is_told = True
            warnings.warn(problem, RuntimeWarning, stacklevel=3)
        self._bell.wait(min(at_most_s, LOOK_INTERVAL_S))
