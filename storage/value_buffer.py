"""Logged values on their way to the log: the call spools them, a thread writes them in batches.

`log` costs little more than a list append, and the value survives a kill of the process (see
`spool`). A background thread writes the gathered values, every 0.5 s while a run is young, every
5 s in a long one, and at once when a segment of the spool is full; `flush()`, the end of a run and
the exit of the process write the rest.

The same transaction records how much of the spool is in the log, so wherever the process is
killed, nothing is lost or written twice: the next process that opens the workspace continues from
there (see `spool_folder`).
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Final

from runlore.domain.errors import RunloreError, WorkspaceClosed
from runlore.domain.ids import run_id_of, values_stream
from runlore.storage import fork_guard, interruptions
from runlore.storage.errors import (
    LogBusy,
    LogReadOnly,
    LogTooNew,
    LogUnavailable,
    ValuesDropped,
)
from runlore.storage.event_log import Drained, DrainedMark
from runlore.storage.held_folder import FolderMoved
from runlore.storage.held_path import HeldPath
from runlore.storage.interruptions import AFTERWARDS, Interrupting
from runlore.storage.journal import NO_VALUES, Batch, Beside, Journal, Pending
from runlore.storage.patience import Patience, Wait, patience
from runlore.storage.run_values import RunSteps, RunValues
from runlore.storage.spool import FILES_MAX, MEMORY_SEGMENTS, Region, Spool
from runlore.storage.spool_format import SLOT, EndIntent
from runlore.storage.spool_reader import SlotReader
from runlore.storage.system_errors import explained
from runlore.storage.value_codec import Part, encode_batch

_FIRST_INTERVAL_S: Final = 0.5
_LAST_INTERVAL_S: Final = 5.0
_GROWTH: Final = 0.02  # 5 s is reached after 250 s.
_RETRY_S: Final = 1.0
_REGIONS_AT_ONCE: Final = 4  # 16 MiB: after an outage there may be 1 GiB.


_OF_ERASED: Final = {"first_seq": 0, "count": 0}  # Values after an erasure are not read either.


class ValueStreams:
    """A writer's streams of values, one for each run: the next version and number of each."""

    def __init__(self, writer_id: str) -> None:
        self.writer_id = writer_id
        self._ends: dict[str, tuple[int, int]] = {}  # version and number of values, by run

    def load(self, journal: Journal, run_id: str) -> None:
        """Read from the log how far a run's stream is."""
        facts = journal.facts(values_stream(run_id, self.writer_id))
        if facts:
            # One that is damaged may come last, whatever its version was.
            batches = [fact.data or _OF_ERASED for fact in facts]
            seq = max(data["first_seq"] + data["count"] for data in batches)
            self._ends[run_id] = max(fact.version for fact in facts), seq

    def next(self, run_id: str, parts: Sequence[Part], actor: str | None = None) -> Pending:
        """The event of these values, logged for an actor; the stream then ends after it."""
        version, seq = self._ends.get(run_id, (0, 0))
        event = encode_batch(self.writer_id, seq, parts)
        self._ends[run_id] = version + 1, seq + event.count
        return Pending(values_stream(run_id, self.writer_id), version + 1, event, actor)

    def copy(self) -> ValueStreams:
        """A copy that can advance on its own."""
        copied = ValueStreams(self.writer_id)
        copied._ends = dict(self._ends)
        return copied


class ValueBuffer:
    """The values that this process logs into all runs of a workspace, and the thread that writes.

    `folder` holds the spool's files, None for memory; `wipes`, `max_files` and
    `max_memory_segments` as in `Spool`. `record_dropped` is given the numbers of values that were
    dropped, by run. `record_ends` is given the writer's id and the ends that waited in its spool
    (see `put_end`), and returns when they are in the log. `beside` gives what to decide about the
    runs whose values are written, in the same commit. After a fork the child starts empty: the
    parent writes the waiting values.
    """

    fork_order = fork_guard.ForkOrder.VALUES

    _spool: Spool | None
    _spools: dict[str, Spool]
    _streams: ValueStreams | None
    _unsettled: tuple[list[Region], ValueStreams, Drained] | None
    _thread: threading.Thread | None

    def __init__(
        self,
        journal: Journal,
        folder: HeldPath | None = None,
        *,
        warn: Callable[[str], None] = warnings.warn,
        clock_ns: Callable[[], int] = time.time_ns,
        wipes: bool = False,
        max_files: int = FILES_MAX,
        max_memory_segments: int = MEMORY_SEGMENTS,
        record_dropped: Callable[[Mapping[str, int]], None] = lambda counts: None,
        record_ends: Callable[[str, Sequence[EndIntent]], None] | None = None,
        beside: Callable[[Collection[str]], Sequence[Beside]] = lambda run_ids: (),
    ) -> None:
        self.journal = journal
        self._record_ends = record_ends
        self._beside = beside
        self._warn = warn
        self._folder = folder
        self._clock_ns = clock_ns
        self._wipes = wipes
        self._max_files = max_files
        self._max_memory_segments = max_memory_segments
        self._record_dropped = record_dropped
        self._steps: dict[str, RunSteps] = {}
        self._actors: dict[str, str] = {}
        self._closed_name: str | None = None
        self._rests = False
        self._make_locks()
        self._empty()
        fork_guard.guard(self)

    def of_run(
        self,
        run_id: str,
        *,
        fresh: bool = False,
        spool: Callable[[], Spool] | None = None,
        actor: str | None = None,
    ) -> RunValues:
        """A way to log into one run; `fresh` if this process has just created it.

        Each user of the buffer has ways of its own, all with the same steps. `spool` returns the
        buffer's spool, or raises WorkspaceClosed if the user may log no more. `actor` is
        recorded with the run's values if it is not the writer's own; the first one given counts.
        """
        steps = self._steps.get(run_id)
        if steps is None:
            made = RunSteps(run_id, self.journal, self._warn, fresh=fresh)
            steps = self._steps.setdefault(run_id, made)
            self._born = time.monotonic()
        if actor is not None:
            self._actors.setdefault(run_id, actor)
        return RunValues(spool or self.spool, steps)

    def spool(self) -> Spool:
        """This process's spool. Raises WorkspaceClosed after `close()`."""
        if self._closed_name is not None:
            raise WorkspaceClosed(self._closed_name)
        if self._spool is None:
            spool = Spool(
                self.journal.writer_id,
                self._folder,
                wake=self._wake,
                filled=self._ring_urgently,
                make_room=self._make_room,
                complain=self._complain,
                stored=self._write_at_once,
                clock_ns=self._clock_ns,
                wipes=self._wipes,
                dropping=self._tell_dropping,
                max_files=self._max_files,
                max_memory_segments=self._max_memory_segments,
            )
            if self._rests:
                spool.rest()
            # In one step: a signal handler that logs may run between any two.
            self._spool = self._spools.setdefault(spool.writer_id, spool)
            self._reader.channels = self._spool.channels  # So that each is in memory once.
        return self._spool

    def drop(self, error: Exception) -> None:
        """Count a value that can be kept nowhere, because of the error; the first one is told."""
        self._dropped += 1
        if self._dropped == 1:
            _tell(
                "a logged file could not be kept; logging goes on, and flush() says how many could "
                f"not: {explained(error)}"
            )

    def put_end(self, intent: EndIntent) -> bool:
        """Keep the end of a run that cannot be written to the log now.

        It is recorded by the thread, by `close`, or after this process's death by the next one that
        opens the workspace: returns whether that one will find it.
        """
        spool = self.spool()
        spool.put_intent(intent)
        if self._rests:
            self._write_at_once()
        return spool.is_on_disk

    def note_end(self, intent: EndIntent) -> None:
        """Note the end of a run that this process is about to record, in case it is killed."""
        self.spool().put_intent(intent, lasting=False)

    def go_on(self, run_id: str) -> None:
        """Let automatic steps of a run go on after the last values that are not void.

        Writes all waiting values first. Raises the log's error.
        """
        self.flush()
        steps = self._steps.get(run_id)
        if steps is not None:
            steps.go_on()
            if self._spool is not None:
                self._spool.park()  # The functions that log hold the old steps.

    @property
    def is_on_disk(self) -> bool:
        """Whether all values that wait are in files, where `live_values` finds them."""
        return self._spool is None or self._spool.is_on_disk

    def waiting_of(self, run_id: str) -> tuple[DrainedMark, list[list[Part]]]:
        """A run's values that wait, in the order of logging, and how much the log holds before.

        Raises LogBusy while another thread waits to write them.
        """
        with self._writing():
            marks = self.journal.log.drained_marks()
            mark = marks.get(self.journal.writer_id, DrainedMark())
            pieces = []
            for segment, lap, start, stop in self._undrained():
                slots = segment.slots[: stop * SLOT]
                # Another reader: the buffer's has to remember what it has read for the log.
                for parts in SlotReader().read(slots, lap, first=0, start=start):
                    pieces += [parts[run_id]] if run_id in parts else []
            return mark, pieces

    @property
    def waiting(self) -> bool:
        """Whether there are values that are not in the log yet."""
        return any(region.stop - region.start > 1 for region in self._undrained())

    def flush(self) -> None:
        """Write all waiting values, of all runs; they are on disk when it returns.

        If the log raises, so does this, and the values keep waiting. Raises ValuesDropped, once,
        if values were dropped in the meantime.
        """
        with self.taken() as batch:
            self.journal.write(batch)
        self._report_dropped()

    @contextmanager
    def taken(self) -> Iterator[Batch]:
        """All waiting values as events, for the block to append.

        If the block raises, the log tells later whether it appended them. Raises Interrupting.
        """
        if interruptions.interrupts():
            raise Interrupting
        with self._writing():
            if self._unsettled is not None:
                self._settle(*self._unsettled)
            while len(regions := self._undrained()) > _REGIONS_AT_ONCE:
                with self._as_events(regions[:_REGIONS_AT_ONCE]) as batch:
                    self.journal.write(batch)
            with self._as_events(regions) as batch:
                yield batch

    @contextmanager
    def _as_events(self, regions: list[Region]) -> Iterator[Batch]:
        """What the regions hold, for the block to append; then they are drained."""
        if not regions:
            yield NO_VALUES
            return
        assert self._spool is not None, "it gave the regions"
        streams = self._streams.copy() if self._streams else ValueStreams(self._spool.writer_id)
        pending = self._events(regions, streams)
        last = regions[-1]
        drained = Drained(streams.writer_id, last.lap, last.stop)
        if pending:
            self._unsettled = regions, streams, drained
            yield Batch(pending, drained, self._beside(_runs_of(pending)))
        else:
            yield NO_VALUES
        self._written(regions, streams)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Keep other threads from writing. Raises LogBusy if one does for long."""
        stuck = self.journal.log.stuck_writer
        wait = Wait(threading.TIMEOUT_MAX, lambda waited_s: stuck() is not None)
        with AFTERWARDS:
            try:
                if not wait.until(lambda seconds: self._write_lock.acquire(timeout=seconds)):
                    raise LogBusy(
                        "logged values keep waiting, as another thread of this process is about "
                        f"to write them; {stuck() or 'its turn has not come yet'}"
                    )
                yield
            finally:
                try:  # noqa: SIM105 (see `Turns.turn`)
                    self._write_lock.release()
                except RuntimeError:
                    pass

    def close(self, workspace: str) -> None:
        """Write all waiting values and end the thread; later values raise WorkspaceClosed.

        If the log raises, so does this, and the buffer stays open; but what a log of a newer
        runlore does not take, or one whose folder was moved, stays in the spool's files, with a
        warning. Of values that a log which may only be read does not take, a warning tells, too.
        """
        self._join_thread()
        try:
            self.flush()
        except (FolderMoved, LogReadOnly) as error:
            self._tell_what_stays(error)
            self._leave(workspace)
            return
        self._end_thread(workspace)
        if self._spool is not None:
            self._spool.close()
            self.flush()  # Values that a thread logged in the meantime.
            self._try_to_record_ends()
            if self._spool.intents:
                self._spool.leave()
            else:
                self._spool.remove()
            self._spool = None

    def rest(self) -> None:
        """Write all waiting values, and end the thread: from now on each value is written at once.

        For a process that ends, in which handlers and threads may still log. If the log raises, so
        does this, and what waits stays in the spool's files; so it does in the cases of `close`.
        """
        with AFTERWARDS, self._start_lock:
            self._rests = True
        self._join_thread()
        try:
            self.flush()
        except (FolderMoved, LogUnavailable) as error:
            self._tell_what_stays(error)
            return
        spool = self._spool
        if spool is not None:
            spool.rest()
            self.flush()
            self._try_to_record_ends()
            if not spool.intents:
                spool.remove()

    def _tell_what_stays(self, error: FolderMoved | LogUnavailable) -> None:
        """Say what becomes of values that this process will not write.

        Raises the error if they would be lost that another process could write.
        """
        if isinstance(error, FolderMoved):  # If it was removed, nothing is there to wait for.
            self._complain(error)
        elif isinstance(error, LogTooNew) or not isinstance(error, LogReadOnly):
            if not self.is_on_disk:
                raise error
            self._complain(error)
        else:
            kept = "are left in its spool" if self.is_on_disk else "are lost"
            self._warned = True
            self._warn(f"values logged into a workspace that is only read {kept}: {error}")

    def _leave(self, workspace: str) -> None:
        """Close, and leave the spool to the next process that opens the workspace."""
        self._end_thread(workspace)
        if self._spool is not None:
            self._spool.close()
            self._spool.leave()
            self._spool = None

    # --- forks ------------------------------------------------------------------------------

    def before_fork(self) -> None:
        while True:
            self._join_thread()
            self._write_lock.acquire()
            self._start_lock.acquire()
            if self._thread is None:  # Another thread's value may have started it again.
                return
            self._start_lock.release()
            self._write_lock.release()

    def after_fork_in_parent(self) -> None:
        self._start_lock.release()
        self._write_lock.release()
        if self._closed_name is None and self.waiting:
            with suppress(WorkspaceClosed):  # Closed just now.
                self._wake()

    def after_fork_in_child(self) -> None:
        if self._spool is not None:
            self._spool.forget()
        self._make_locks()
        self._empty()

    # --- writing ----------------------------------------------------------------------------

    def _make_locks(self) -> None:
        self._write_lock = interruptions.new_lock(self)
        self._start_lock = interruptions.new_lock(self)
        # Not one that `interrupts` knows: changes are recorded while it is held.
        self._record_lock = threading.RLock()
        self._is_recording = False
        # Not an Event: a signal handler that logs must be able to ring in the middle of a ring.
        self._bell: SimpleQueue[None] = SimpleQueue()

    def _empty(self) -> None:
        self._spool = None
        self._spools = {}
        self._streams = None
        self._reader = SlotReader()
        self._unsettled = None
        self._thread = None
        self._stopping = False
        self._parked = True
        self._urgent = False
        self._warned = False
        self._told_moved = ""
        self._failed_at = -_RETRY_S
        self._born = time.monotonic()
        self._dropped = 0
        self._dropped_reported = 0
        self._told_dropping = False
        self._dropped_recorded: dict[str, int] = {}

    def _undrained(self) -> list[Region]:
        return [] if self._spool is None else self._spool.undrained()

    def _events(self, regions: Sequence[Region], streams: ValueStreams) -> list[Pending]:
        pending = []
        for segment, lap, start, stop in regions:
            slots = segment.slots[start * SLOT : stop * SLOT]
            for parts in self._reader.read(slots, lap, first=start, start=start):
                pending += [
                    streams.next(run_id, found, self._actors.get(run_id))
                    for run_id, found in parts.items()
                ]
        self._reader.intents.clear()  # The spool knows those that wait.
        return pending

    def _written(self, regions: Sequence[Region], streams: ValueStreams) -> None:
        assert self._spool is not None, "it gave the regions"
        # In this order: an exception may end it between two lines, and then it is settled again.
        self._spool.drained(regions)
        self._streams = streams
        self._unsettled = None
        self._warned = False  # If the next value has no room in a file, that is told again.

    def _settle(self, regions: list[Region], streams: ValueStreams, drained: Drained) -> None:
        """Ask the log whether the events of a `taken` that ended in an error were written."""
        mark = self.journal.log.drained_marks().get(drained.writer_id)
        if mark is not None and mark[:2] == drained[1:]:
            self._written(regions, streams)
        self._unsettled = None

    def _make_room(self) -> bool:
        """Drain the spool from a call that finds no room; returns whether there is room now."""
        if interruptions.interrupts() or time.monotonic() < self._failed_at + _RETRY_S:
            return False
        return self._try_flush()

    def _try_flush(self) -> bool:
        try:
            with self.taken() as batch:
                self.journal.write(batch)
            self._record_what_was_dropped()
            self._record_waiting_ends()
        except Exception as error:  # The training loop must never die of logging.
            if self._stopping:  # Whoever ended the thread writes the values, or lets it go on.
                return False
            self._failed_at = time.monotonic()
            self._complain(error)
            return False
        self._warned = False
        return True

    def _write_at_once(self) -> None:
        if interruptions.interrupts():
            interruptions.put_off(self._write_at_once)
        else:
            self._try_flush()

    def _has_waiting_ends(self) -> bool:
        return self._spool is not None and bool(self._spool.intents)

    def _try_to_record_ends(self) -> None:
        try:
            self._record_waiting_ends()
        except Exception as error:
            self._complain(error)

    def _record_waiting_ends(self) -> None:
        spool = self._spool
        if spool is None or self._record_ends is None:
            return
        intents = spool.intents
        if intents:
            self._record_ends(spool.writer_id, intents)
            for intent in intents:
                spool.settle(intent)

    def _complain(self, error: Exception) -> None:
        moved = self._moved(error)
        if moved is not None:
            self._tell_moved(moved)
        elif not self._warned:
            self._warned = True
            _tell(f"logged values are not written yet and keep waiting: {explained(error)}")

    def _moved(self, error: Exception) -> FolderMoved | None:
        if isinstance(error, FolderMoved):
            return error
        held = None if self._folder is None else self._folder.folder
        # A spool that cannot be made in a folder that was removed.
        is_gone = isinstance(error, FileNotFoundError) and held is not None and held.is_removed
        return held.moved() if is_gone and held is not None else None

    def _tell_moved(self, moved: FolderMoved) -> None:
        """Say what becomes of the values that are logged into a moved or removed folder, once."""
        what = "values logged since then are lost"
        if self._spool is not None and self._spool.is_on_disk:
            self._spool.stay()
            what = "logged values wait in the moved folder, until it is opened there"
        if what != self._told_moved:
            self._told_moved = what
            _tell(f"{moved}; {what}")

    def _report_dropped(self) -> None:
        dropped = self._dropped
        if self._spool is not None:
            with suppress(RunloreError):  # It is tried again.
                self._record_what_was_dropped()
            dropped += sum(self._spool.dropped.values())
        if dropped > self._dropped_reported:
            self._dropped_reported, before = dropped, self._dropped_reported
            raise ValuesDropped(dropped - before)

    def _tell_dropping(self) -> None:
        if not self._told_dropping:
            self._told_dropping = True
            _tell(
                "the space for values that wait is full, so new ones are dropped: the log cannot "
                "be written; the warning before says why. Earlier values are safe, and how many "
                "were dropped is recorded when the log is back"
            )

    def _record_what_was_dropped(self) -> None:
        """Record how many values of each run were dropped since it was recorded last.

        Only one thread does so at a time: two would say the same number twice.
        """
        lock = self._record_lock
        if not lock.acquire(blocking=not interruptions.interrupts()):
            return  # Whoever holds it records them; what is dropped meanwhile comes next time.
        try:
            if self._is_recording:  # A signal came while this thread does so.
                return
            self._is_recording = True
            try:
                self._record_dropped_since()
            finally:
                self._is_recording = False
        finally:
            lock.release()

    def _record_dropped_since(self) -> None:
        dropped = {} if self._spool is None else dict(self._spool.dropped)
        recorded = self._dropped_recorded
        new = {
            run_id: count - recorded.get(run_id, 0)
            for run_id, count in dropped.items()
            if count > recorded.get(run_id, 0)
        }
        if new:
            self._record_dropped(new)
            self._dropped_recorded = dropped

    # --- the thread -------------------------------------------------------------------------

    def _wake(self) -> None:
        """Wake the thread, as there will be values to write; called on the slow path."""
        if self._closed_name is not None:
            raise WorkspaceClosed(self._closed_name)
        if self._parked and self._thread is None and interruptions.interrupts():
            interruptions.put_off(self._wake)  # To start a thread waits for locks.
        elif self._parked:
            self._parked = False
            if self._thread is None:
                self._start()
            self._bell.put(None)

    def _ring_urgently(self) -> None:
        """Wake the thread at once: a segment is full, and the other one will be soon."""
        self._urgent = True
        self._bell.put(None)

    def _start(self) -> None:
        with AFTERWARDS, self._start_lock:
            if self._thread is None and self._closed_name is None and not self._rests:
                self._stopping = False
                thread = threading.Thread(
                    target=interruptions.as_helper,
                    args=(self._write_on,),
                    name="runlore-values",
                    daemon=True,
                )
                try:
                    thread.start()
                    self._thread = thread
                except RuntimeError as error:
                    # The process may have no threads left, and Python 3.12 starts none at exit:
                    # flush() and close() still write, and later values do not try again.
                    self._complain(error)

    def _end_thread(self, workspace: str) -> None:
        """End the thread for good: a value or a fork may have started it again."""
        with AFTERWARDS, self._start_lock:
            self._closed_name = workspace
        self._join_thread()

    def _join_thread(self) -> None:
        """End the thread after its current write; must not be called while holding its locks."""
        thread = self._thread
        if thread is not None:
            self._stopping = True
            self._bell.put(None)
            thread.join()
            with AFTERWARDS, self._start_lock:
                if self._thread is thread:
                    self._thread = None
                    self._parked = True
                    if self._spool is not None:
                        self._spool.park()

    def _write_on(self) -> None:
        """What the thread does. It does not wait in the queue of writers when it is to end."""
        with patience(Patience(is_over=lambda: self._stopping)):
            self._write_until_stopped()

    def _write_until_stopped(self) -> None:
        if self._spool is not None:
            self._spool.make_spare()
        while not self._stopping:
            if self._parked:
                # It also polls: a value may have slipped past while it parked.
                self._wait_for_bell(_LAST_INTERVAL_S)
            if not self._parked:
                self._let_gather()
            if self._stopping:
                return
            self._urgent = False
            if self.waiting or self._has_waiting_ends():
                self._try_flush()
            elif not self._parked:
                self._park()

    def _let_gather(self) -> None:
        """Wait while values gather, as long as the run's age allows, or until it is urgent."""
        now = time.monotonic()
        age = now - self._born
        until = now + min(_LAST_INTERVAL_S, max(_FIRST_INTERVAL_S, age * _GROWTH))
        while now < until and not self._urgent and not self._stopping:
            self._wait_for_bell(until - now)
            now = time.monotonic()

    def _wait_for_bell(self, seconds: float) -> None:
        with suppress(Empty):
            self._bell.get(timeout=seconds)

    def _park(self) -> None:
        assert self._spool is not None, "there was something to write"
        self._parked = True
        self._spool.park()
        if self.waiting:  # It came between the last check and parking.
            self._parked = False


def _tell(problem: str) -> None:
    # Where warnings are errors, ours would end the thread that writes; flush() still raises.
    with suppress(RuntimeWarning):
        warnings.warn(problem, RuntimeWarning, stacklevel=4)


def _runs_of(pending: Iterable[Pending]) -> list[str]:
    """The runs of batches of values, each once, in order."""
    found = dict.fromkeys(run_id_of(event.stream) for event in pending)
    return [run_id for run_id in found if run_id is not None]
