"""The runs that this process takes part in: it created them, logs into them, or attached to them.

Other processes learn of it from the log, which names the creator of a run, or from a small file
(`runlore.storage.participants`). A forked child takes part in no run of its parent, unless it logs
into it; even then it never ends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from runlore.domain.decision import Decision
from runlore.domain.errors import RunloreError
from runlore.domain.ids import run_stream
from runlore.domain.leaving import heard
from runlore.domain.run_state import RunState, fold
from runlore.domain.status import Status
from runlore.storage import fork_guard
from runlore.storage.journal import Beside, StreamState
from runlore.storage.participants import Part, mark_part, remove_part

if TYPE_CHECKING:
    from runlore.storage.held_path import HeldPath
    from runlore.storage.journal import Journal
    from runlore.storage.writers import WriterLock


_LOOK_INTERVAL_S: Final = 1.0
_LOOKS_MAX: Final = 16
"""The streams that are read beside one write; where more runs are written, others have their turn
with the next write."""

_of_parents: Final[set[str]] = set()
"""The runs that the processes took part in which this one was forked from; for all logs, as the
child may open its parent's workspace anew."""


@dataclass(slots=True)
class _Own:
    """This process's part in a run: since when (µs since 1970 UTC), and whether others see it.

    `stream` is the run's as far as it matters here, and `look_at` when it is read again: the run
    may count as lost by then, or as resumed by another process.

    With `ends`, the process's end is the run's, unless others execute it as well; None if they are
    the ones that do. Then `holder` keeps the workspace open until the run has ended. From `left_at`
    on others may know how it left, and the values that it still writes are no signs of life.
    """

    since: int
    is_seen: bool
    forked: bool = False
    is_creator: bool = False
    ends: bool | None = None
    holder: object = None
    stream: StreamState[RunState | None] | None = None
    look_at: float = 0.0
    left_at: int | None = None


class Participation:
    """This process's parts in the runs of a log. `files` is the workspace's folder, or None.

    `on_part` is called when it begins to take part in a run.
    """

    fork_order = fork_guard.ForkOrder.SESSION

    def __init__(
        self,
        journal: Journal,
        files: HeldPath | None,
        writer_lock: WriterLock | None,
        on_part: Callable[[], None] = lambda: None,
    ) -> None:
        self._journal = journal
        self._on_part = on_part
        self._files = files
        self._writer_lock = writer_lock
        self._own: dict[str, _Own] = {}
        self._made: set[str] = set()
        self._left: set[str] = set()
        fork_guard.guard(self)

    def created(self, run_id: str) -> None:
        """This process has just created the run, and executes it: the log tells the others."""
        look_at = time.monotonic() + _LOOK_INTERVAL_S
        self._own[run_id] = _Own(
            self._journal.log.now_us(), is_seen=True, is_creator=True, ends=False, look_at=look_at
        )

    def made(self, run_ids: Iterable[str]) -> None:
        """This process has just created these runs for others to execute, or for itself later."""
        self._made.update(run_ids)

    def join(self, run_id: str) -> None:
        """Take part in a run, from now on. Never raises: what others cannot see yet is retried."""
        self._left.discard(run_id)
        own = self._part_in(run_id)
        if not own.is_seen:
            self._show(run_id, own)
        self._on_part()

    def _part_in(self, run_id: str) -> _Own:
        own = self._own.get(run_id)
        if own is None:
            forked = run_id in _of_parents
            made = _Own(self._journal.log.now_us(), is_seen=False, forked=forked)
            if run_id in self._made:
                self._made.discard(run_id)
                made.ends = True
                made.stream = _as_made(run_id)
                made.look_at = time.monotonic() + _LOOK_INTERVAL_S
            own = self._own.setdefault(run_id, made)
        return own

    def resume(self, run_id: str) -> None:
        """Take part in a run from its resumption on; its creation says no more who does."""
        self._own.pop(run_id, None)
        self.join(run_id)

    def end_with_process(self, run_id: str, holder: object | None) -> None:
        """Let the process's end be that of a run that it takes part in; until then it holds it.

        Without a holder the process's end says nothing about the run.
        """
        own = self._own.get(run_id)
        if own is not None and not own.forked:
            own.ends, own.holder = holder is not None, holder

    def stays_open(self, run_id: str) -> bool:
        """Whether this process started the run, and its end says nothing about it."""
        own = self._own.get(run_id)
        return own is not None and own.ends is False

    def parts(self) -> list[tuple[str, bool, object]]:
        """The runs that this process leaves when it ends: id, whether they end with it, holder.

        In the order in which it took part. Those that it started to be left open are not among
        them.
        """
        return [
            (run_id, own.ends is True, own.holder)
            for run_id, own in list(self._own.items())
            if own.ends is not False and not own.forked
        ]

    def told(self) -> list[tuple[str, Part]]:
        """The parts that other machines are told of, by run id."""
        writer_id = self._journal.writer_id
        return [
            (run_id, Part(writer_id, own.since, own.forked))
            for run_id, own in list(self._own.items())
            if own.left_at is None
        ]

    def executes(self, run_id: str) -> bool:
        """Whether this process takes part in the run; not as a fork of a process that does."""
        own = self._own.get(run_id)
        return own is not None and not own.forked

    def is_inside(self, run_id: str) -> bool:
        """Whether this process takes part in the run, or is a fork of a process that does."""
        return run_id in self._own or run_id in _of_parents

    def since(self, run_id: str) -> int | None:
        """When this process began to take part (µs since 1970 UTC); None if it does not."""
        own = self._own.get(run_id)
        return None if own is None else own.since

    def left_at(self, run_id: str) -> int | None:
        """When this process began to leave the run (µs since 1970 UTC); None if it has not."""
        own = self._own.get(run_id)
        return None if own is None else own.left_at

    def leave(self, run_id: str, at: int) -> None:
        """Give no signs of life from then on (µs since 1970 UTC): others learn how it left."""
        own = self._own.get(run_id)
        if own is not None:
            own.left_at = at

    def end(self, run_id: str) -> None:
        """Take part no more: the process left the run, or the run has ended."""
        own = self._own.pop(run_id, None)
        if own is not None and not own.is_creator and self._files is not None:
            remove_part(
                self._files, run_id, self._journal.writer_id, wipe=self._journal.log.erasable
            )

    def forget(self, run_id: str) -> None:
        """Take part no more, and leave the part as it is for the other processes.

        Values that come later are written, and change nothing of that, unless the process joins.
        """
        if self._own.pop(run_id, None) is not None:
            self._left.add(run_id)

    def close(self) -> None:
        """Take part in nothing: the process closes the workspace."""
        for run_id in list(self._own):
            self.end(run_id)

    def rest(self) -> None:
        """Show no more that this process takes part: it ends, and may still change its runs."""
        for run_id, own in list(self._own.items()):
            if not own.is_creator and self._files is not None:
                remove_part(
                    self._files, run_id, self._journal.writer_id, wipe=self._journal.log.erasable
                )
            own.is_seen = True
        self._files = None

    def beside(self, run_ids: Collection[str]) -> list[Beside]:
        """Decisions beside values of these runs, which are signs of life.

        Raises the log's error.
        """
        now, looks = time.monotonic(), _LOOKS_MAX
        decisions = []
        for run_id in run_ids:
            if run_id in self._left:
                continue
            own = self._part_in(run_id)  # A forked child that logs for its parent has none yet.
            unread = own.stream is None and not own.is_creator
            if unread or (looks > 0 and now >= own.look_at):
                looks -= not unread
                self._look(run_id, own, now)
            state = None if own.stream is None else own.stream.state
            if not own.is_seen and not (state and state.submitted):
                self._show(run_id, own)
            if (
                own.stream is not None
                and state is not None
                and heard(state, own.since, own.left_at)
            ):
                decide = partial(_decide, own.since, own.left_at)
                decisions.append(Beside(own.stream, decide))
        return decisions

    def before_fork(self) -> None:
        """There is nothing to let go."""

    def after_fork_in_parent(self) -> None:
        """There is nothing to take back."""

    def after_fork_in_child(self) -> None:
        _of_parents.update(self._own)
        self._own = {}
        self._made = set()
        self._left = set()

    def _look(self, run_id: str, own: _Own, now: float) -> None:
        if own.stream is None:
            own.stream = StreamState(run_stream(run_id), fold, None)
        state = self._journal.refresh(own.stream)
        own.look_at = now + _LOOK_INTERVAL_S
        if state is not None and state.pauses and own.is_creator:
            # Another process has resumed it, so the creation says no more who takes part.
            own.is_creator = own.is_seen = False
            self._show(run_id, own)

    def _show(self, run_id: str, own: _Own) -> None:
        if self._files is None or self._writer_lock is None:
            own.is_seen = True
            return
        writer_id = self._journal.writer_id
        try:
            # Without a lock the writer would look as if it had closed the workspace.
            self._writer_lock.make(writer_id)
            mark_part(self._files, run_id, Part(writer_id, own.since, own.forked))
            own.is_seen = True
        except (RunloreError, OSError):  # A full disk must not end a training that logs.
            own.is_seen = False


def _as_made(run_id: str) -> StreamState[RunState | None]:
    """The stream of a run that waits to begin, as far as it matters here, without reading it."""
    state = RunState(
        run_id=run_id,
        experiment_id="",
        experiment_name="",
        status=Status.RUNNING,
        root_id=run_id,
        created_at=0,
        version=1,
        begun=False,
    )
    return StreamState(run_stream(run_id), fold, state, version=1)


def _decide(since: int | None, left_at: int | None, state: RunState | None) -> Decision:
    if state is None or state.erased:
        return Decision()
    return Decision(heard(state, since, left_at))
