"""Calls that interrupt another call of their own thread, which holds locks of ours.

A signal handler, a finalizer, a weak reference's callback or a trace function runs between any two
lines of a thread, also of one that holds locks. It must not wait for other locks there: their
holders may wait for those. So a change that comes then is put off until the thread has let go of
all, and a read raises `Interrupting` at once.

Whether a call interrupts is asked of the locks themselves (`interrupts`). A record of our own could
not be kept: an exception that a handler raises may come between the lock and the record.
"""

from __future__ import annotations

import _thread
import functools
import os
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from typing import Any, Final, ParamSpec

from runlore.domain.errors import RunloreError
from runlore.storage.patience import Patience, patience

P = ParamSpec("P")


_owned: Final[dict[int, Callable[[], bool]]] = {}  # Whether this thread holds the lock, by its id.
_asking: Final[dict[int, Callable[[], bool]]] = {}  # Those of them that ask afterwards.
_owners: Final[dict[int, weakref.ref[object]]] = {}
_known: Final[tuple[dict[int, Any], ...]] = (_owned, _asking, _owners)
_waiting: Final[deque[Callable[[], object]]] = deque()
_turn = threading.RLock()


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.loading = threading.RLock()
        self.helps = False


_this_thread = _OfThread()


class Interrupting(RunloreError):
    """A call that needs an answer interrupts another one of its thread, as in a signal handler."""

    def __init__(self) -> None:
        super().__init__(
            "this call interrupts another one of runlore in the same thread, as in a signal "
            "handler or a finalizer, so it can neither read nor create anything; changes and "
            "logged values are accepted there, and are made when the interrupted call has "
            "returned: read then"
        )


def new_lock(owner: object, *, asks: bool = True) -> threading.RLock:
    """A reentrant lock that `interrupts` knows, for an object. Take it as `with AFTERWARDS, lock`.

    One that does not ask is taken by itself, where that has no time to look what was put off.
    """
    lock = threading.RLock()
    key = id(lock)

    def forget(_: object) -> None:
        for known in _known:
            known.pop(key, None)

    _owners[key] = weakref.ref(owner, forget)
    _owned[key] = _asker(lock)
    if asks:
        _asking[key] = _owned[key]
    return lock


def is_owned(lock: threading.RLock) -> bool:
    """Whether this thread holds the lock."""
    return _asker(lock)()


def interrupts() -> bool:
    """Whether this thread holds a lock of ours, in a call that the present one interrupts."""
    return True in [owned() for owned in list(_owned.values())]


def check() -> None:
    """Raise Interrupting if this call interrupts another one; else do what was put off."""
    if interrupts():
        raise Interrupting
    if _waiting:
        catch_up()


def put_off(call: Callable[[], object]) -> None:
    """Let a call wait until the interrupted one has let go of its locks; in the order of coming."""
    _waiting.append(call)
    if _is_helper() or not any(owned() for owned in list(_asking.values())):
        beside(catch_up)


def beside(work: Callable[[], None]) -> None:
    """Work in another thread, if the process has one left and does not end."""
    with suppress(RuntimeError):
        # Not a `Thread`: to start one takes locks that an interrupted call may hold.
        _thread.start_new_thread(work, ())


def deferrable(change: Callable[P, None]) -> Callable[P, None]:
    """The change, put off if it interrupts another call."""

    @functools.wraps(change)
    def made(*args: P.args, **options: P.kwargs) -> None:
        if interrupts():
            put_off(functools.partial(change, *args, **options))
        else:
            change(*args, **options)

    return made


def as_helper(work: Callable[[], None]) -> None:
    """Work as a thread of our own, for which others wait while they hold locks of ours.

    It never catches up, as what was put off may wait for these locks.
    """
    _this_thread.helps = True
    work()


def catch_up() -> None:
    """Do what was put off, unless this call interrupts another one; returns when it is done."""
    while _waiting and not (_is_helper() or is_owned(_turn) or interrupts()):
        with _turn:
            while _waiting:
                # It stays in the queue until it is done: a handler that ends it ends nothing else.
                call = _waiting[0]
                try:
                    with patience(Patience()):  # Of its own: the interrupted call may have little.
                        call()
                except Exception as error:
                    _tell(error)
                if _waiting and _waiting[0] is call:
                    _waiting.popleft()


class _Afterwards:
    """A context around a lock: when the thread has let go of the last one, it catches up.

    It has no state, so that an exception at any of its lines leaves none behind.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, *raised: object) -> None:
        if _waiting:
            catch_up()


AFTERWARDS: Final = _Afterwards()


# What threading.Condition asks of its lock. The public way, `Condition(lock).notify(0)`, takes ten
# times as long, for each read and change.
_asker: Final[Callable[[threading.RLock], Callable[[], bool]]] = attrgetter("_is_owned")


@contextmanager
def loading() -> Iterator[None]:
    """For the import of a module in the block: what interrupts it would find it half loaded.

    Raises Interrupting if this call interrupts another one.
    """
    check()
    # A lock, though nobody else takes it: it is let go of whatever interrupts the way out.
    with AFTERWARDS, _this_thread.loading:
        yield


def _loads() -> bool:
    return is_owned(_this_thread.loading)


_owned[id(_loads)] = _asking[id(_loads)] = _loads


def _is_helper() -> bool:
    return _this_thread.helps


def _tell(error: Exception) -> None:
    # Where warnings are errors, ours would end a call that it has nothing to do with.
    with suppress(RuntimeWarning):
        warnings.warn(
            f"a call in a signal handler or finalizer was put off, and has failed now: {error}",
            RuntimeWarning,
            stacklevel=2,
        )


def _after_fork_in_child() -> None:
    global _turn
    # All of them are the parent's; whoever goes on with a lock in the child makes a new one.
    _turn = threading.RLock()
    _waiting.clear()
    for known in _known:
        known.clear()
    _owned[id(_loads)] = _asking[id(_loads)] = _loads


os.register_at_fork(after_in_child=_after_fork_in_child)
