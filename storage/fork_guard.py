"""What must happen around `os.fork()`: no lock held and no connection open across it.

SQLite keeps the state of its file locks in process memory, but the kernel does not hand the
locks to a child: a child that opens the file again would believe in locks that it does not
have, and lose commits when the parent closes last. So the parent lets go *before* the fork and
opens lazily again after it; the child starts with nothing. PyTorch's data loaders fork like
this, and outlive a killed trainer.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something with locks, threads or connections; a lower `fork_order` lets go first."""

    fork_order: int

    def before_fork(self) -> None:
        """Finish what is under way, take the locks, close what cannot be shared."""

    def after_fork_in_parent(self) -> None:
        """Release the locks."""

    def after_fork_in_child(self) -> None:
        """Make new locks; forget what was the parent's."""


_guarded: WeakSet[Forkable] = WeakSet()
_held: list[Forkable] = []
_guarded_lock = threading.Lock()


def guard(thing: Forkable) -> None:
    """Call the thing's three methods around every fork, for as long as it lives."""
    with _guarded_lock:
        _guarded.add(thing)


def _before() -> None:
    _guarded_lock.acquire()
    _held.extend(sorted(_guarded, key=lambda thing: thing.fork_order))
    for thing in _held:
        thing.before_fork()


def _in_parent() -> None:
    for thing in reversed(_held):
        thing.after_fork_in_parent()
    _held.clear()
    _guarded_lock.release()


def _in_child() -> None:
    for thing in reversed(_held):
        thing.after_fork_in_child()
    _held.clear()
    _guarded_lock.release()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
