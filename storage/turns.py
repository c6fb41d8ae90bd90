"""The turns of this process to write to a log, which its threads take one after another.

Only writes wait here, without any lock that a read takes: so the threads of this process go on
reading while one of them waits for another process.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from runlore.domain.errors import RunloreError
from runlore.storage import interruptions
from runlore.storage.errors import LogBusy, from_os
from runlore.storage.interruptions import is_owned
from runlore.storage.patience import Wait
from runlore.storage.turn_holder import TurnHolder
from runlore.storage.write_queue import WriteQueue

_TELL_AFTER_S: Final = 5.0


class Turns:
    """This process's turns to write to the log of a name, and who has the turn if it does not."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: WriteQueue | None = None
        self._told: object = self
        self.forget_parent()

    def forget_parent(self) -> None:
        """In a forked child: no thread has a turn."""
        self._threads = interruptions.new_lock(self)
        self._has_turn = False

    def hold_up(self) -> None:
        """Wait until no thread has a turn, and give none until `go_on`."""
        self._threads.acquire()

    def go_on(self) -> None:
        """Give turns again."""
        self._threads.release()

    @contextmanager
    def turn(self, queue_of: Callable[[], WriteQueue | None], timeout_s: float) -> Iterator[None]:
        """A turn of this thread, and of this process in the queue; in one, more are part of it.

        `queue_of` is called when this thread's turn has come, and returns None if no other process
        can write. Raises LogBusy if the turn does not come in time, or the thread's patience ends.
        """
        if is_owned(self._threads):
            yield
            return
        wait = Wait(timeout_s, self._look)
        try:
            if not wait.until(self._take):
                raise self._busy(wait)
            with self._queued(queue_of, wait):
                yield
        finally:
            # An exception may have ended the wait before the turn came, or after it. Whether it
            # came is not asked first: a handler of a signal could end the question.
            try:  # noqa: SIM105 (nor entered by a function of Python, for the same reason)
                self._threads.release()
            except RuntimeError:
                pass

    @contextmanager
    def _queued(self, queue_of: Callable[[], WriteQueue | None], wait: Wait) -> Iterator[None]:
        queue = None
        try:
            queue = self._queue = queue_of()
            if queue is not None:
                self._wait_in(queue, wait)
                self._has_turn = True
            yield
        finally:
            self._has_turn = False
            self._queue = None
            if queue is not None:
                queue.release()

    @contextmanager
    def making(self, queue: WriteQueue | None, timeout_s: float) -> Iterator[None]:
        """This process's turn for a thread that makes the file, while no other thread can use it.

        Raises as `turn` does.
        """
        if queue is None or self._has_turn:  # Whichever thread has it: it waits for this one.
            yield
            return
        try:
            self._queue = queue
            self._wait_in(queue, Wait(timeout_s, self._look))
            yield
        finally:
            queue.release()
            self._queue = None

    def _take(self, seconds: float) -> bool:
        return self._threads.acquire(timeout=seconds)

    def _wait_in(self, queue: WriteQueue, wait: Wait) -> None:
        try:
            came = queue.acquire(wait)
        except RunloreError:
            raise
        except OSError as error:
            raise from_os(error, self._name) from error
        if not came:
            raise self._busy(wait)

    def stuck(self) -> TurnHolder | None:
        """The process for which a thread of this one waits, if it is stuck."""
        holder = self._holder()
        return holder if holder is not None and holder.is_stuck else None

    def _look(self, waited_s: float) -> bool:
        """Whether the process that has the turn is stuck; warn of it after a few seconds, once."""
        holder = self._holder()
        who = holder and (holder.process, holder.start, holder.since)
        if waited_s >= _TELL_AFTER_S and who != self._told:
            self._told = who
            with suppress(RuntimeWarning):  # Where warnings are errors: it still waits.
                warnings.warn(
                    f"waiting for the turn to write to {self._name}: {_described(holder)}",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return holder is not None and holder.is_stuck

    def _busy(self, wait: Wait) -> LogBusy:
        return LogBusy(
            f"could not write to {self._name}: its turn did not come for {wait.took_s:.1f} s, so "
            f"nothing was stored; {_described(self._holder())}"
        )

    def _holder(self) -> TurnHolder | None:
        queue = self._queue
        return None if queue is None else queue.holder()


def _described(holder: TurnHolder | None) -> str:
    if holder is None:
        return "another process has it, which does not say who it is"
    return str(holder)
