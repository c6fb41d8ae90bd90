"""Logged values on their way to the log: kept in memory, written in batches in the background.

`log` costs a list append. A background thread writes what has gathered, every 0.5 s at first
and every 5 s in a long run; `flush()`, the end of a run, the exit of the process and reads in
the same process write at once. This is the seam that a spool on disk can take over: callers
see `ValueBuffer` and `RunValues` only.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import count
from typing import Any, Final

from runlore.domain.errors import ChangeRefusedError, WorkspaceClosed
from runlore.domain.events import ValuesLogged
from runlore.domain.ids import values_prefix, values_stream
from runlore.storage import fork_guard
from runlore.storage.codec import fact_of
from runlore.storage.event_log import EventLog
from runlore.storage.journal import Journal, Pending
from runlore.storage.sqlite import now_us
from runlore.storage.value_codec import Record, Series, encode_batch

_FIRST_INTERVAL_S: Final = 0.5
_LAST_INTERVAL_S: Final = 5.0
_GROWTH: Final = 0.02  # 5 s is reached after 250 s.
_BATCH_MAX: Final = 50_000

_Key = tuple[str, tuple[str, ...]]  # A series by name and columns.


class RunValues:
    """The values that this process logs into one run."""

    def __init__(self, buffer: ValueBuffer, run_id: str, *, fresh: bool) -> None:
        self.run_id = run_id
        self._buffer = buffer
        # Never replaced while the process lives, and cut at its front only, by what is written:
        # another thread may be about to append to it.
        self._records: list[Record] = []
        self._steps: dict[_Key, Any] = {}
        # A run that this process just created has no values yet: nothing to look up.
        self._taken: dict[_Key, int] | None = {} if fresh else None
        self._version = 0
        self._seq = 0
        self._writer_id = ""
        self._unsettled = False

    def log(self, series: Series, value: Any, step: int | None) -> None:
        """Keeps one value; without a step it gets the series' next one, from 0 on."""
        now = now_us()
        if step is None:
            step = self._next_step(series)
        self._records.append(Record(series, step, now, value))
        self._buffer.wake()

    def log_many(self, series: Series, values: Sequence[Any], steps: Sequence[int] | None) -> None:
        """Keeps many values of one series, in their order."""
        now = now_us()
        if steps is None:
            steps = [self._next_step(series) for _ in values]
        self._records.extend(
            [Record(series, step, now, value) for step, value in zip(steps, values, strict=True)]
        )
        self._buffer.wake()

    @property
    def waiting(self) -> bool:
        """Whether there are values that are not in the log yet."""
        return bool(self._records)

    def take(self, writer_id: str) -> list[Pending]:
        """The events that hold all waiting values, which wait on until they are `written`.

        This and what settles it (`written`, `unsettled`) run under the buffer's write lock.
        """
        stream = values_stream(self.run_id, writer_id)
        if self._writer_id != writer_id:  # First use, or a forked child.
            self._writer_id, self._version, self._seq = writer_id, 0, 0
        elif self._unsettled:
            self._settle(stream)
        records = self._records[:]
        pending: list[Pending] = []
        seq = self._seq
        for start in range(0, len(records), _BATCH_MAX):
            part = records[start : start + _BATCH_MAX]
            version = self._version + len(pending) + 1
            pending.append(Pending(stream, version, encode_batch(writer_id, seq, part)))
            seq += len(part)
        return pending

    def written(self, version: int, count: int) -> None:
        """The next `count` values are in the log, up to this version of their stream."""
        self._version = version
        self._seq += count
        del self._records[:count]

    def unsettled(self) -> None:
        """Nobody knows whether the events of a `take` were written: the next one looks."""
        self._unsettled = True

    def forget(self) -> None:
        """In a forked child: what waits is the parent's to write."""
        self._records = []

    def _settle(self, stream: str) -> None:
        # Nobody else writes to this stream, so what is in it now is ours.
        for fact in self._buffer.journal.facts(stream, after_version=self._version):
            assert fact.data is not None, "our own events are known to us"
            self.written(fact.version, fact.data["count"])
        self._unsettled = False

    def _next_step(self, series: Series) -> int:
        key = (series.name, series.columns)
        counter = self._steps.get(key)
        if counter is None:
            if self._taken is None:
                self._taken = steps_taken(self._buffer.journal.log, self.run_id)
            counter = self._steps.setdefault(key, count(self._taken.get(key, 0)))
        step: int = next(counter)
        return step


class ValueBuffer:
    """The values that this process logs into all runs of a workspace, and the thread that writes.

    After a fork the child starts empty: what waited is written by the parent.
    """

    fork_order = 10

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._runs: dict[str, RunValues] = {}
        self._write_lock = threading.RLock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._awake = False
        self._warned = False
        self._closed_name: str | None = None
        fork_guard.guard(self)

    def of_run(self, run_id: str, *, fresh: bool = False) -> RunValues:
        """The values of one run; `fresh` says that this process has just created it."""
        values = self._runs.get(run_id)
        if values is None:
            values = self._runs.setdefault(run_id, RunValues(self, run_id, fresh=fresh))
        return values

    def wake(self) -> None:
        """There is something to write; called for every value, so it must cost nothing."""
        if not self._awake:
            if self._closed_name is not None:
                raise WorkspaceClosed(self._closed_name)
            self._awake = True
            if self._thread is None:
                self._start()
            self._wake.set()

    def flush(self, run_id: str | None = None) -> None:
        """Writes what waits, of one run or of all; returns when it is on disk.

        Raises what the log raises; the values then wait on.
        """
        with self._write_lock, ExitStack() as stack:
            runs = list(self._runs.values()) if run_id is None else [self.of_run(run_id)]
            taken = [self.taken(values) for values in runs if values.waiting]
            # One transaction for all runs, so that a commit costs each of them little.
            self.journal.append([event for one in taken for event in stack.enter_context(one)])

    def taken(self, values: RunValues) -> _Taken:
        """The run's waiting values as events, for `with`: written unless the block raises."""
        return _Taken(self, values)

    def close(self, workspace: str) -> None:
        """Writes all that waits and ends the thread; a later value raises WorkspaceClosed.

        Raises what the log raises, and stays open then.
        """
        self._join_thread()
        try:
            self.flush()
            self._closed_name = workspace
        finally:
            self._awake = False

    def before_fork(self) -> None:
        while True:
            self._join_thread()
            self._write_lock.acquire()
            if self._thread is None:  # Another thread's value may have started it again.
                return
            self._write_lock.release()

    def after_fork_in_parent(self) -> None:
        self._awake = False
        self._write_lock.release()
        if self._closed_name is None and any(values.waiting for values in self._runs.values()):
            self.wake()

    def after_fork_in_child(self) -> None:
        self._write_lock = threading.RLock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._awake = False
        for values in self._runs.values():
            values.forget()

    def _start(self) -> None:
        with self._write_lock:
            if self._thread is None:
                self._stopping.clear()
                thread = threading.Thread(target=self._write_on, name="runlore-values", daemon=True)
                try:
                    thread.start()
                    self._thread = thread
                except RuntimeError as error:
                    # The process may have no more, and Python 3.12 starts none at exit: flush()
                    # and close() still write, and nobody tries again for every value.
                    self._warn_once(error)

    def _join_thread(self) -> None:
        """Ends the thread after the write that it is in; must not be called under the lock."""
        thread = self._thread
        if thread is not None:
            self._stopping.set()
            self._wake.set()
            thread.join()
            with self._write_lock:
                if self._thread is thread:
                    self._thread = None

    def _write_on(self) -> None:
        started = time.monotonic()
        while True:
            self._wake.wait()
            age = time.monotonic() - started
            interval = min(_LAST_INTERVAL_S, max(_FIRST_INTERVAL_S, age * _GROWTH))
            if self._stopping.wait(interval):
                return
            self._wake.clear()
            self._awake = False
            try:
                self.flush()
                self._warned = False
            except Exception as error:  # The training loop must never die of logging.
                self.wake()
                # Where warnings are errors, ours would end this thread; flush() still raises.
                with suppress(RuntimeWarning):
                    self._warn_once(error)

    def _warn_once(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"logged values could not be written yet and wait in memory: {error}",
                RuntimeWarning,
                stacklevel=2,
            )


class _Taken:
    """Holds the write lock while taken values are on their way, and settles what became of them."""

    def __init__(self, buffer: ValueBuffer, values: RunValues) -> None:
        self._buffer = buffer
        self._values = values

    def __enter__(self) -> list[Pending]:
        self._buffer._write_lock.acquire()
        try:
            self._pending = self._values.take(self._buffer.journal.writer_id)
        except BaseException:
            self._buffer._write_lock.release()
            raise
        return self._pending

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            # A refused change is raised after its events, and ours before them, were written.
            if kind is None or issubclass(kind, ChangeRefusedError):
                for pending in self._pending:
                    assert isinstance(pending.event, ValuesLogged)
                    self._values.written(pending.version, pending.event.count)
            else:
                self._values.unsettled()
        finally:
            self._buffer._write_lock.release()


def steps_taken(log: EventLog, run_id: str) -> dict[_Key, int]:
    """How many values each series of a run has in the log; reads no payload."""
    taken: dict[_Key, int] = {}
    for row in log.read_streams(values_prefix(run_id), topics=(ValuesLogged.topic,)):
        data = fact_of(row).data
        for described in data["series"] if data else ():
            key = (described["name"], tuple(described["columns"]))
            taken[key] = taken.get(key, 0) + described["n"]
    return taken
