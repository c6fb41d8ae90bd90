"""Recording the surroundings of runs: at their start where they are known, else beside them.

A run's start records what takes no time. The rest (git, the machine, the packages) takes some
hundredths of a second for the first run of a process, in a thread that ends when it is done. The
surroundings of later runs are then known at their start. A run's end, and the workspace's close,
wait for the thread a moment. Nothing that goes wrong here ends a run: it is told in a warning.
"""

from __future__ import annotations

import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from runlore.domain.events import ArtifactAdded, EnvironmentRecorded, Event
from runlore.domain.run_state import Artifact
from runlore.engine.capture.document import (
    NOTHING_FOUND,
    Recorded,
    Surroundings,
    kept,
    record,
)
from runlore.engine.capture.parts import BY_DEFAULT, Part, Parts
from runlore.engine.capture.program import Program, program
from runlore.storage import fork_guard, interruptions
from runlore.storage.interruptions import AFTERWARDS

if TYPE_CHECKING:
    from runlore.storage.artifacts import ArtifactStore

_DELAY_S: Final = 0.05
"""How long the thread lets the training go first: Python executes only one of them at a time."""
_NO_FACTS: Final = frozenset((Part.SYSTEM, Part.CONSOLE))
_HELD_S: Final = 10.0
"""How long a file that was kept is not looked for again: that takes a millisecond on a disk."""
_WAIT_MAX_S: Final = 4.0
_POLL_S: Final = 0.002


class _Held(NamedTuple):
    """What is in a store for sure until then."""

    store: Callable[[], ArtifactStore | None]
    contents: Mapping[str, bytes]
    until: float
    artifacts: Mapping[str, Artifact]


class _Waiting(NamedTuple):
    run: Recorded
    parts: Parts
    program: Program


class AtStart(NamedTuple):
    """The events of a run's creation, and what is to be recorded of it afterwards."""

    events: Sequence[Event]
    rest: _Waiting | None


class Captures:
    """The capture for all runs of a log that this process starts."""

    fork_order = fork_guard.ForkOrder.CAPTURE

    def __init__(self) -> None:
        self._known: dict[Hashable, Surroundings] = {}
        self._asked: dict[str, Parts] = {}
        self._held: _Held = _Held(lambda: None, {}, 0.0, {})
        self._lock = interruptions.new_lock(self)
        self._forget()
        fork_guard.guard(self)

    def _forget(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._thread: threading.Thread | None = None
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._stopping = False

    def at_start(self, run: Recorded, parts: Parts) -> AtStart:
        """All that is known by now of a run that is about to be created."""
        if parts != BY_DEFAULT:
            self._asked[run.id] = parts
        parts -= _NO_FACTS
        if not parts:
            return AtStart((), None)
        here = program()
        known = self._known.get(_key(parts, here))
        found = known or NOTHING_FOUND
        document = {**_of(here, parts), **found.document}
        recorded = [EnvironmentRecorded(environment=document)] if document else []
        # Decided here: while the run is created, the thread may find what these events lack.
        rest = _Waiting(run, parts, here) if known is None else None
        return AtStart([*recorded, *_added(self._kept(run, found))], rest)

    def _kept(self, run: Recorded, found: Surroundings) -> Mapping[str, Artifact]:
        """The files in the run's store; those that were kept there a moment ago still are."""
        if not found.files:
            return {}
        store, now = run.artifacts, time.monotonic()
        held = self._held
        if held.store() is not store or held.contents is not found.files or now > held.until:
            made = kept(run, found.files)
            held = self._held = _Held(weakref.ref(store), found.files, now + _HELD_S, made)
        return held.artifacts

    def parts_of(self, run_id: str) -> Parts:
        """What is captured of a run that this process started; of any other one the default."""
        return self._asked.get(run_id, BY_DEFAULT)

    def after_start(self, begun: AtStart) -> None:
        """Record the rest beside the run that was just created."""
        if begun.rest is not None:
            self._waiting.append(begun.rest)
            self._start()

    def settle(self, run_id: str | None = None) -> None:
        """Wait until all of a run is recorded, or of all runs; 4 s at most."""
        if not self._waiting or interruptions.interrupts():
            return
        self._bell.put(None)
        until = time.monotonic() + _WAIT_MAX_S
        while self._has(run_id) and self._thread is not None and time.monotonic() < until:
            time.sleep(_POLL_S)

    def _has(self, run_id: str | None) -> bool:
        return any(run_id in (None, waiting.run.id) for waiting in list(self._waiting))

    # --- the thread -------------------------------------------------------------------------

    def _start(self) -> None:
        with AFTERWARDS, self._lock:
            if self._thread is not None or not self._waiting or self._stopping:
                return
            thread = threading.Thread(
                target=interruptions.as_helper,
                args=(self._work,),
                name="runlore-capture",
                daemon=True,
            )
            try:
                thread.start()
                self._thread = thread
            except RuntimeError:  # The process has no threads left, or ends.
                self._waiting.clear()

    def _work(self) -> None:
        with suppress(Empty):
            self._bell.get(timeout=_DELAY_S)
        while not self._stopping:
            if self._waiting:
                # It stays in the queue until it is recorded: `settle` waits for that.
                self._try_to_record(self._waiting[0])
                if not self._stopping:
                    self._waiting.popleft()
                continue
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return

    def _try_to_record(self, waiting: _Waiting) -> None:
        try:
            found = self._found(waiting.parts, waiting.program)
            if not self._stopping:
                record(waiting.run, _of(waiting.program, waiting.parts), found)
        except Exception as error:  # Whatever it is: the training goes on without it.
            _tell(waiting.run.id, error)

    def _found(self, parts: Parts, here: Program) -> Surroundings:
        key = _key(parts, here)
        if key not in self._known:
            # Imported here: it loads what takes time, and this is done beside the training.
            from runlore.engine.capture.surroundings import found_beside

            self._known[key] = found_beside(parts, here)
        return self._known[key]

    # --- forks ------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """End the thread; what waits is recorded after the fork."""
        self._stopping = True
        self._bell.put(None)
        thread = self._thread
        if thread is not None:
            thread.join(_WAIT_MAX_S)  # No longer: it may wait for a lock that this fork holds.
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._stopping, self._thread = False, None
        self._lock.release()
        self._start()

    def after_fork_in_child(self) -> None:
        self._lock = interruptions.new_lock(self)
        self._forget()


def _of(here: Program, parts: Parts) -> Mapping[str, Any]:
    return here.document if Part.PROGRAM in parts else {}


def _key(parts: Parts, here: Program) -> Hashable:
    return parts, here.arguments, here.source_folders


def _added(files: Mapping[str, Artifact]) -> list[Event]:
    return [
        ArtifactAdded(name=name, sha256=artifact.sha256, nbytes=artifact.nbytes)
        for name, artifact in files.items()
    ]


def _tell(run_id: str, error: Exception) -> None:
    with suppress(RuntimeWarning):  # Where warnings are errors.
        warnings.warn(
            f"not all surroundings of run {run_id} were recorded: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
