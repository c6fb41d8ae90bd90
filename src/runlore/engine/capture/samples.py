"""System metrics: a thread samples this machine every 10 s, into the runs that it is told.

There is one for all runs of a log that this process executes. It ends if none of them goes on when
it wakes, before a fork (after which the parent's goes on), and with the workspace's close. It never
keeps a workspace open, and nothing that goes wrong in it ends a run.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from runlore.domain.errors import RunloreError
from runlore.domain.ids import run_stream
from runlore.domain.run_state import RunState, fold
from runlore.domain.status import TERMINAL
from runlore.domain.system_metrics import PREFIX
from runlore.storage import fork_guard, interruptions
from runlore.storage.interruptions import AFTERWARDS
from runlore.storage.journal import Journal, StreamState
from runlore.storage.value_codec import Series

if TYPE_CHECKING:
    from runlore.storage.run_values import RunValues

INTERVAL_S: Final = 10.0
RUNS_MAX: Final = 16
"""How many runs are sampled at once: a process may have thousands open."""
_LOCAL_RANKS: Final = (
    "LOCAL_RANK",  # torchrun, and Azure ML's PyTorch jobs
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MV2_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",  # Intel MPI, MPICH
    "PALS_LOCAL_RANKID",
    "SLURM_LOCALID",
)
_DELAY_S: Final = 1.0
"""How long the thread lets the training go first."""
_WAIT_MAX_S: Final = 2.0


_Sample = dict[str, float]


class Source(Protocol):
    """What is sampled; see `runlore.engine.capture.sampler`."""

    def sample(self) -> dict[str, float]:
        """What is known now, by names."""


class Sink(Protocol):
    """The session that the samples of its runs are logged in."""

    journal: Journal

    def values_of(self, run_id: str, *, fresh: bool = False) -> RunValues:
        """The values that this process logs into a run."""


class _Followed(NamedTuple):
    sink: weakref.ref[Sink]
    stream: StreamState[RunState | None]
    make: Callable[[], Source]
    key: Hashable
    """Runs with the same key have one source."""
    prefix: str


class Samples:
    """The samples of all runs of a log that this process executes, every `interval_s`."""

    fork_order = fork_guard.ForkOrder.CAPTURE

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._lock = interruptions.new_lock(self)
        self._forget()
        fork_guard.guard(self)

    def _forget(self) -> None:
        self._runs: dict[str, _Followed] = {}
        self._sources: dict[Hashable, Source] = {}
        self._thread: threading.Thread | None = None
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._stopping = False

    def follow(
        self,
        sink: Sink,
        run_id: str,
        *,
        pid: int | None = None,
        folder: str | None = None,
        host: str | None = None,
        source: Source | None = None,
    ) -> None:
        """Sample this machine and a process, by default this one, into a run until it ends.

        The names of the metrics begin with `host`, if it is given. Does nothing if many other runs
        are sampled.
        """
        if len(self._runs) >= RUNS_MAX:
            return
        process = os.getpid() if pid is None else pid
        self._runs[run_id] = _Followed(
            weakref.ref(sink),
            StreamState(run_stream(run_id), fold, None),
            partial(_sampler, process, folder) if source is None else lambda: source,
            process if source is None else id(source),
            PREFIX if host is None else f"{PREFIX}{host}/",
        )
        self._start()

    @property
    def followed(self) -> list[str]:
        """The runs that are sampled."""
        return list(self._runs)

    def leave(self, run_id: str) -> None:
        """Sample no more into a run: it ends. The thread waits for the next one a while."""
        self._runs.pop(run_id, None)

    def close(self) -> None:
        """Sample no more at all."""
        self._runs.clear()
        self._end_thread()

    def _start(self) -> None:
        with AFTERWARDS, self._lock:
            if self._thread is not None or not self._runs or self._stopping:
                return
            thread = threading.Thread(
                target=interruptions.as_helper,
                args=(self._work,),
                name="runlore-system",
                daemon=True,
            )
            with suppress(RuntimeError):  # The process has no threads left, or ends.
                thread.start()
                self._thread = thread

    def _end_thread(self) -> None:
        self._stopping = True
        self._bell.put(None)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_WAIT_MAX_S)  # No longer: it may wait for a lock of who waits for it.
        self._stopping, self._thread = False, None

    def _work(self) -> None:
        wait_s = min(_DELAY_S, self._interval_s)
        while self._goes_on():
            try:
                self._bell.get(timeout=wait_s)
            except Empty:
                self.sample_all()
                wait_s = self._interval_s

    def _goes_on(self) -> bool:
        if self._stopping:
            return False
        with self._lock:
            if not self._runs:
                self._thread = None
                return False
        return True

    def sample_all(self) -> None:
        """Sample now; what the thread does every `interval_s`."""
        runs = list(self._runs.items())
        found = self._sampled({followed.key: followed.make for _, followed in runs})
        for run_id, followed in runs:
            if self._stopping:
                return
            try:
                goes_on = followed.key in self._sources and self._goes_on_with(followed)
                if goes_on and followed.key in found:
                    self._log(run_id, followed, found[followed.key])
            except (RunloreError, OSError):  # A full disk, say: it may have room the next time.
                goes_on = True
            if not goes_on:
                self.leave(run_id)

    def _sampled(self, makers: Mapping[Hashable, Callable[[], Source]]) -> dict[Hashable, _Sample]:
        """The samples of the sources; a new one has none yet, because rates need a beginning."""
        found = {}
        for key, make in makers.items():
            try:
                if key in self._sources:
                    found[key] = self._sources[key].sample()
                else:
                    self._sources[key] = make()
            except Exception:  # What the system tells is not ours: the training goes on without.
                self._sources.pop(key, None)
        return found

    def _goes_on_with(self, followed: _Followed) -> bool:
        sink = followed.sink()
        if sink is None:
            return False
        state = sink.journal.refresh(followed.stream)
        if state is None or state.erased:
            return False
        return state.status not in TERMINAL or state.lost

    def _log(self, run_id: str, followed: _Followed, found: _Sample) -> None:
        sink = followed.sink()
        if sink is not None and run_id in self._runs and found:
            series = [Series(f"{followed.prefix}{name}") for name in found]
            sink.values_of(run_id).log_wide(series, list(found.values()), None)

    # --- forks ------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """End the thread."""
        self._end_thread()
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()
        self._start()

    def after_fork_in_child(self) -> None:
        self._lock = interruptions.new_lock(self)
        self._forget()


def _sampler(pid: int, folder: str | None) -> Source:
    # Imported here: psutil takes some hundredths of a second, and this is done beside the training.
    from runlore.engine.capture.sampler import Sampler

    return Sampler(pid, folder)


def is_first_on_host(environ: Mapping[str, str]) -> bool:
    """Whether no other process of the job on this host has a lower rank.

    >>> is_first_on_host({}), is_first_on_host({"LOCAL_RANK": "1", "SLURM_LOCALID": "0"})
    (True, False)
    """
    told = (environ.get(name, "").strip() for name in _LOCAL_RANKS)
    return next((rank for rank in told if rank), "0") == "0"
