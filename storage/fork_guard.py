"""Hooks around `os.fork()`: no lock is held and no connection is open across it.

SQLite keeps the state of its file locks in process memory, but the kernel does not hand the
locks to a child: a child that opens the file again would believe that it holds locks which it
does not, and lose commits when the parent closes last. So the parent lets go *before* the fork and
lazily opens again after it; the child starts with nothing. PyTorch's data loaders fork like this,
and outlive a killed trainer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from enum import IntEnum, auto
from typing import Protocol
from weakref import WeakSet

from runlore.storage import interruptions
from runlore.storage.interruptions import AFTERWARDS


class ForkOrder(IntEnum):
    """The order in which things let go before a fork: each before those that it uses."""

    CAPTURE = auto()
    SESSION = auto()
    OPEN_LOGS = auto()
    VALUES = auto()
    PROJECTION = auto()
    LOG = auto()


class Forkable(Protocol):
    """Something with locks, threads or connections."""

    fork_order: ForkOrder

    def before_fork(self) -> None:
        """Finish pending work, take the locks, close everything that cannot be shared."""

    def after_fork_in_parent(self) -> None:
        """Release the locks."""

    def after_fork_in_child(self) -> None:
        """Make new locks; forget everything of the parent."""


_guarded: WeakSet[Forkable] = WeakSet()
_asked: list[Forkable] = []  # Everything that the current fork concerns, in its order,
_held: list[Forkable] = []  # and the part of it that let go.
_guarded_lock = interruptions.new_lock(_guarded)
_lets_go = True


def guard(thing: Forkable) -> None:
    """Call the three methods of the thing around every fork, for as long as it lives."""
    with AFTERWARDS, _guarded_lock:
        _guarded.add(thing)


def _before() -> None:
    global _lets_go
    # To let go of what a call holds that is interrupted, by a signal handler that forks, would be
    # to wait for threads that wait for it. The parent then goes on as if nothing had happened.
    _lets_go = not interruptions.interrupts()
    if _lets_go:
        _guarded_lock.acquire()
    _asked.extend(sorted(_guarded, key=lambda thing: thing.fork_order))
    if _lets_go:
        for thing in _asked:
            thing.before_fork()
            _held.append(thing)


def _in_parent() -> None:
    _go_on([thing.after_fork_in_parent for thing in _held])


def _in_child() -> None:
    global _guarded_lock
    _go_on([thing.after_fork_in_child for thing in _asked])
    _guarded_lock = interruptions.new_lock(_guarded)


def _go_on(calls: Sequence[Callable[[], None]]) -> None:
    # Python forks even if a hook raised (Ctrl-C, say); one failure must not become a deadlock.
    with AFTERWARDS, ExitStack() as stack:
        if _lets_go:
            stack.callback(_guarded_lock.release)
        stack.callback(_asked.clear)
        stack.callback(_held.clear)
        for call in calls:
            stack.callback(call)  # The last in is the first out.


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
